import {
  type compact,
  DEFAULT_COMPACTION,
  DEFAULT_RETENTION,
  type RetentionPolicy,
  retentionPolicy,
} from '../replica/index.ts';
import type { CommandLine } from './command-line.ts';
import type { Flag } from './command-shape.ts';
import { interpret } from './exit-codes.ts';
import { spanWords } from './report/wording.ts';

/** When to compact; flags of `compact` and `maintain`. */
export const COMPACTION_FLAGS = {
  ratio: {
    value: 'number',
    default: String(DEFAULT_COMPACTION.ratio),
    help: 'compact if the WAL since the last snapshot is at least this share of its size',
  },
  'max-age': {
    value: 'duration',
    default: spanWords(DEFAULT_COMPACTION.maxAge),
    help: 'compact if the last snapshot is older than this and there is WAL',
  },
  codec: { value: 'lz4|zstd', help: 'compression of the new snapshot', default: 'that of the last one' },
} as const satisfies Readonly<Record<string, Flag>>;

export type CompactionChoice = Pick<Parameters<typeof compact>[1], 'policy' | 'codec'>;
export async function compactionChoice(line: CommandLine): Promise<CompactionChoice> {
  return interpret(() => {
    const ratio = line.number('ratio', 0) ?? DEFAULT_COMPACTION.ratio;
    const maxAge = line.duration('max-age') ?? DEFAULT_COMPACTION.maxAge;
    const codec = line.oneOf('codec', ['lz4', 'zstd']);
    return { policy: { ratio, maxAge }, ...(codec && { codec }) };
  });
}

/** What is kept; flags of `retain` and `maintain`. */
export const RETENTION_FLAGS = {
  window: {
    value: 'duration',
    default: spanWords(DEFAULT_RETENTION.window),
    help: 'how far back every moment can be restored',
  },
  daily: {
    value: 'count',
    default: String(DEFAULT_RETENTION.daily),
    help: 'beyond the window: for how many days the newest snapshot of the day is kept',
  },
  weekly: { value: 'count', default: String(DEFAULT_RETENTION.weekly), help: 'the same for weeks' },
  monthly: { value: 'count', default: String(DEFAULT_RETENTION.monthly), help: 'the same for months' },
  grace: {
    value: 'duration',
    default: spanWords(DEFAULT_RETENTION.grace),
    help: 'how long objects that a running restore may need are still kept',
  },
} as const satisfies Readonly<Record<string, Flag>>;

export async function retentionChoice(line: CommandLine): Promise<RetentionPolicy> {
  return interpret(() => {
    const given = {
      window: line.duration('window'),
      daily: line.count('daily', 0),
      weekly: line.count('weekly', 0),
      monthly: line.count('monthly', 0),
      grace: line.duration('grace'),
    };
    return retentionPolicy(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)));
  });
}
