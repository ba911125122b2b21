/**
 * Takes over the replica of a Litestream 0.3: claims its newest generation, so that the shipper goes on in it. The
 * shipper reads that generation once, hashes its pages, and ships only those in which the database differs.
 */
import { readClaim, writeClaim, type Claim } from '../catalogue/claim.ts';
import { isKind, SeawallError } from '../terms/errors.ts';
import { readReplicaEnd } from './replica-end.ts';
import type { Store } from '../store/store.ts';
import { loadTimeline } from '../catalogue/timeline.ts';

export interface Adopted {
  readonly generation: string;
  /** What the replica ends with. */
  readonly pages: number;
  readonly checksum: bigint;
}

/**
 * Reads the replica to its end, and claims it. Litestream must have been stopped for good: it knows no claims, and two
 * writers of one generation destroy it.
 *
 * Throws `refused` (ALREADY_CLAIMED) where a shipper of ours is the owner and Litestream did not take over after it,
 * `missing`, `corrupt` (then begin a new replica beside it), and `conflict` when another claim came first.
 */
export async function adopt(store: Store, by: Pick<Claim, 'owner' | 'holder' | 'since'>): Promise<Adopted> {
  const found = await readClaim(store);
  const { current, beside } = await loadTimeline(store);
  if (found !== undefined && beside?.tookOver !== true) {
    const message = `the replica is already a shipper's (${found.claim.holder}); there is nothing to take over`;
    throw new SeawallError('refused', 'ALREADY_CLAIMED', message);
  }
  if (current === undefined) throw new SeawallError('missing', 'NO_SNAPSHOT', `${store.url} has no snapshot`);
  const { state } = await readReplicaEnd(store, current, true);
  try {
    const claim = { generation: current.id, epoch: (found?.claim.epoch ?? 0) + 1, ...by };
    await writeClaim(store, claim, found === undefined ? 'absent' : { ifMatch: found.etag });
  } catch (error) {
    if (!isKind(error, 'conflict')) throw error;
    throw new SeawallError('conflict', 'ALREADY_CLAIMED', 'another shipper claimed the replica meanwhile', {}, error);
  }
  return { generation: current.id, pages: state.pages, checksum: state.checksum };
}
