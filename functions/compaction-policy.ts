import { DEFAULT_COMPACTION, type CompactionPolicy } from '../replica/compaction/compact.ts';
import { numberSetting } from './environment.ts';

/** The policy of compaction that the environment sets; the sweep makes up for missed events by the same one. */
export function compactionPolicy(): CompactionPolicy {
  return {
    ratio: numberSetting('SEAWALL_POLICY_RATIO', DEFAULT_COMPACTION.ratio),
    maxAge: numberSetting('SEAWALL_POLICY_MAX_AGE', DEFAULT_COMPACTION.maxAge),
  };
}
