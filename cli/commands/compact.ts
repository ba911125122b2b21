import { compact, DEFAULT_COMPACTION, type CompactionOutcome } from '../../replica/compact.ts';
import { formatChecksum } from '../../replica/format/page-hashes.ts';
import { formatSize } from '../../replica/units.ts';
import type { Command, Flag, JsonDocument } from '../command.ts';
import type { CommandLine } from '../command-line.ts';
import { EXIT, interpret } from '../exit-codes.ts';
import { Interruptible } from '../interruption.ts';
import { REPLICA, withStore } from '../replica-place.ts';
import { counted, spanWords } from '../wording.ts';

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

export const compactCommand: Command = {
  name: 'compact',
  summary: 'makes a newer snapshot from a replica’s last one and the WAL after it, so that restores stay short',
  details: [
    'Nothing is deleted. Running it twice, at the same time, or killing it in the middle does no harm: the snapshot ' +
      'appears whole and proven, or not at all. Where the policy says that it is not worth it yet, nothing is done, ' +
      'and the exit code is 0.',
  ],
  operands: [REPLICA],
  flags: { ...COMPACTION_FLAGS, force: { help: 'compact whenever there is a finished WAL index' } },
  examples: [
    { line: 'seawall compact ./bucket', says: 'if it is worth it' },
    { line: 'seawall compact ./bucket --force --codec zstd', says: 'in any case, into a smaller snapshot' },
  ],
  async run(line, terminal) {
    const chosen = await compactionChoice(line);
    const choice = line.has('force') ? { ...chosen, policy: 'always' as const } : chosen;
    return withStore(line.operand(0), async (store) => {
      using interruptible = new Interruptible();
      const onProgress = interruptible.wrap(terminal.progress('compact', 'bytes'));
      const outcome = await compact(store, { ...choice, now: Date.now(), onProgress });
      return {
        exitCode: EXIT.ok,
        document: { replica: store.url, ...compactionDocument(outcome) },
        lines: [compactionWords(outcome)],
      };
    });
  },
};

export function compactionDocument(outcome: CompactionOutcome): JsonDocument {
  if (outcome.kind === 'skipped') return { outcome: 'skipped', why: outcome.why };
  const { key, index, why, how, size, copied, pages, checksum, frames } = outcome;
  const made = { bytes: size, copied, pages, frames, checksum: formatChecksum(checksum) };
  return { outcome: 'compacted', why, how, key, index, ...made };
}

const SKIPPED = {
  'no-snapshot': 'there is no snapshot to begin with',
  'no-complete-index': 'no WAL index was finished since the last snapshot',
  'below-policy': 'there is too little WAL for it yet (--force does it anyway)',
  exists: 'another run made the snapshot at the same time',
} as const satisfies Readonly<Record<(CompactionOutcome & { readonly kind: 'skipped' })['why'], string>>;

const COMPACTED = {
  ratio: 'the WAL had grown',
  age: 'the last snapshot was old',
  asked: 'asked for',
} as const satisfies Readonly<Record<(CompactionOutcome & { readonly kind: 'compacted' })['why'], string>>;

const HOW = {
  patched: 'only changed blocks were encoded anew',
  'passed-on': 'the store does not copy, so what had not changed was read and written',
  rewritten: 'all of it was encoded anew',
} as const satisfies Readonly<Record<(CompactionOutcome & { readonly kind: 'compacted' })['how'], string>>;

export function compactionWords(outcome: CompactionOutcome): string {
  if (outcome.kind === 'skipped') return `nothing to compact: ${SKIPPED[outcome.why]}`;
  const { key, why, how, size, copied, pages, frames } = outcome;
  const made = `${counted(pages, 'page')}, ${formatSize(size)}, from ${counted(frames, 'WAL frame')}`;
  return `compacted into ${key}: ${made}; ${HOW[how]}${copied > 0 ? `, the store copied ${formatSize(copied)}` : ''}; ${COMPACTED[why]}`;
}
