/**
 * One writer: the claim names the shipper that owns the replica, and is replaced only under the ETag that was read.
 *
 * A former shipper that is still at work writes next at the end of the replica or, if it has just ended its index, at
 * the start of the next one. Resuming writes at both (difference.ts). Only one shipper can create each key: either the
 * former one stops, `fenced`, or it was faster, and the new one continues from what it wrote. The claim is read again
 * after the first upload of each index.
 */
import { findClaim, writeClaim, readClaim } from '../../../replica/catalogue/claim.ts';
import { isKind, SeawallError, type Claim, type Store } from '../../../replica/index.ts';
import { CLAIM_KEY } from '../../../replica/terms/layout.ts';
import { takenOver } from './uploader.ts';

export interface Owner {
  readonly owner: string;
  readonly holder: string;
}

/**
 * The former owner renewed its claim while the replica was being taken over, so what was read is out of date. The
 * takeover begins again, because the shipper that starts later becomes the owner.
 */
export class ClaimRenewed extends SeawallError {
  constructor(holder: string) {
    super('conflict', 'CLAIM_RENEWED', `${holder} renewed its claim while the replica was being taken over`, {
      key: CLAIM_KEY,
    });
  }
}

/** The claim to replace; undefined if there is none. Its `claim` is undefined if it is damaged. */
export type FormerClaim = { readonly claim: Claim | undefined; readonly etag: string } | undefined;

/**
 * Throws Fenced if the claim must not be replaced: this is a restart, and another shipper has taken the replica over.
 */
export async function readFormerClaim(
  store: Store,
  { owner, isRestart }: { readonly owner: Owner; readonly isRestart: boolean },
): Promise<FormerClaim> {
  const former = await findClaim(store);
  if (isRestart && former?.claim !== undefined && former.claim.owner !== owner.owner) {
    throw takenOver(former.claim.holder);
  }
  return former;
}

/** Replaces the claim that was read. Throws Fenced if another shipper was faster, or {@link ClaimRenewed}. */
export async function takeClaim(
  store: Store,
  former: FormerClaim,
  generation: string,
  since: number,
  owner: Owner,
): Promise<void> {
  const claim = { generation, epoch: (former?.claim?.epoch ?? 0) + 1, since, ...owner };
  try {
    await writeClaim(store, claim, former === undefined ? 'absent' : { ifMatch: former.etag });
  } catch (error) {
    if (!isKind(error, 'conflict')) throw error;
    const now = (await readClaim(store))?.claim;
    if (now?.owner === owner.owner && now.generation === generation) return; // a lost acknowledgement
    if (now !== undefined && now.owner === former?.claim?.owner) throw new ClaimRenewed(now.holder);
    throw takenOver(now?.holder);
  }
}
