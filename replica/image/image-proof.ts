/** What proves a restored state: its page hashes add up to the checksum that was recorded of the live database. */
import { corrupt } from '../terms/errors.ts';
import { formatChecksum, type PageHashes } from '../format/page-hashes.ts';
import { snapshotKey } from '../terms/layout.ts';
import type { RestorePlan } from '../plan/plan.ts';
import { positionIn } from '../catalogue/generation.ts';
import type { WalWalk } from './wal-scan.ts';

/**
 * - `recorded`: the state equals a checksum that was taken of the live database
 * - `frames`: only the WAL frames' own checksums were there to check, and they held
 * - `files`: the same of the LTX files' checksums
 */
export type Proof = 'recorded' | 'frames' | 'files';

/** What a restored state is, and what proved it. */
export interface ImageResult {
  /** Pages of the database. */
  readonly pages: number;
  /** Database checksum: the XOR of its page hashes, 64 bits. */
  readonly checksum: bigint;
  /** What proved the state. */
  readonly proof: Proof;
  /** Frames of WAL, or pages of later LTX files, that were read. */
  readonly frames: number;
  /** Pages that they changed. */
  readonly walPages: number;
}

/**
 * Throws `corrupt` (RESTORE_CHECKSUM) unless the pages, with the commits between them and the recorded state, lead to
 * that state. If no state was recorded, there is nothing to compare.
 */
export function proveState(hashes: PageHashes, plan: RestorePlan, towardsProof: WalWalk['towardsProof']): void {
  if (plan.proof === undefined) return;
  const expected = plan.proof.state;
  const actual = towardsProof.length === 0 ? hashes : hashes.clone();
  for (const { page, hash, commitPages } of towardsProof) {
    actual.setHash(page, hash);
    if (commitPages !== 0) actual.commit(commitPages);
  }
  if (actual.pages === expected.pages && actual.checksum === expected.checksum) return;
  const position = positionIn(plan.generation, plan.until);
  throw corrupt(
    'RESTORE_CHECKSUM',
    `the restored pages do not add up to the checksum taken from the live database at ${position}`,
    {
      key: snapshotKey(plan.generation.id, plan.snapshot.index, plan.snapshot.codec),
      position,
      expected: formatChecksum(expected.checksum),
      actual: formatChecksum(actual.checksum),
    },
  );
}
