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

/** What decides when to compact; `maintain` has them too. */
export const COMPACTION_FLAGS = {
  ratio: {
    value: 'number',
    default: String(DEFAULT_COMPACTION.ratio),
    help: 'compact when the WAL since the last snapshot is at least this share of it',
  },
  'max-age': {
    value: 'duration',
    default: spanWords(DEFAULT_COMPACTION.maxAge),
    help: 'compact when the last snapshot is older and there is WAL',
  },
  codec: { value: 'lz4|zstd', help: 'of the new snapshot', default: 'as the one before' },
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

/** What decides what is kept; `maintain` has them too. */
export const RETENTION_FLAGS = {
  window: {
    value: 'duration',
    default: spanWords(DEFAULT_RETENTION.window),
    help: 'every moment of the last so long can be restored',
  },
  daily: {
    value: 'count',
    default: String(DEFAULT_RETENTION.daily),
    help: 'beyond the window, the newest snapshot of each of the last so many days',
  },
  weekly: { value: 'count', default: String(DEFAULT_RETENTION.weekly), help: 'the same for weeks' },
  monthly: { value: 'count', default: String(DEFAULT_RETENTION.monthly), help: 'the same for months' },
  grace: {
    value: 'duration',
    default: spanWords(DEFAULT_RETENTION.grace),
    help: 'how long what a running restore may need is kept on',
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
