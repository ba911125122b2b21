import { DEFAULT_COMPACTION, type CompactionPolicy } from '../replica/compaction/compact.ts';
import { numberSetting } from './environment.ts';

/** The compaction policy from the environment. The sweep uses the same one when it makes up for missed events. */
export function compactionPolicy(): CompactionPolicy {
  return {
    ratio: numberSetting('SEAWALL_POLICY_RATIO', DEFAULT_COMPACTION.ratio),
    maxAge: numberSetting('SEAWALL_POLICY_MAX_AGE', DEFAULT_COMPACTION.maxAge),
  };
}
