import { type CompactionOutcome, formatChecksum } from '../../replica/index.ts';
import { formatSize } from '../../replica/terms/units.ts';
import type { JsonDocument } from '../json.ts';
import { counted } from './wording.ts';

export function compactionDocument(outcome: CompactionOutcome): JsonDocument {
  if (outcome.kind === 'skipped') return { outcome: 'skipped', why: outcome.why };
  const { key, index, why, how, size, copied, pages, checksum, frames } = outcome;
  const made = { bytes: size, copied, pages, frames, checksum: formatChecksum(checksum) };
  return { outcome: 'compacted', why, how, key, index, ...made };
}

const SKIPPED = {
  'no-snapshot': 'there is no snapshot to start from',
  'no-complete-index': 'no WAL index was finished since the last snapshot',
  'below-policy': 'there is too little WAL yet (--force compacts anyway)',
  exists: 'another run has made this snapshot',
} as const satisfies Readonly<Record<(CompactionOutcome & { readonly kind: 'skipped' })['why'], string>>;

const COMPACTED = {
  ratio: 'the WAL had grown',
  age: 'the last snapshot was old',
  asked: 'asked for',
} as const satisfies Readonly<Record<(CompactionOutcome & { readonly kind: 'compacted' })['why'], string>>;

const HOW = {
  patched: 'only changed blocks were encoded',
  'passed-on': 'the store cannot copy, so unchanged blocks were read and written again',
  rewritten: 'all blocks were encoded',
} as const satisfies Readonly<Record<(CompactionOutcome & { readonly kind: 'compacted' })['how'], string>>;

export function compactionWords(outcome: CompactionOutcome): string {
  if (outcome.kind === 'skipped') return `nothing compacted: ${SKIPPED[outcome.why]}`;
  const { key, why, how, size, copied, pages, frames } = outcome;
  const made = `${counted(pages, 'page')}, ${formatSize(size)}, from ${counted(frames, 'WAL frame')}`;
  return `compacted into ${key}: ${made}; ${HOW[how]}${copied > 0 ? `, the store copied ${formatSize(copied)}` : ''}; ${COMPACTED[why]}`;
}
