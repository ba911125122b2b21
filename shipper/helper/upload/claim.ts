/**
 * One writer: the claim names the shipper that owns the replica, and is replaced only under the ETag that was read.
 *
 * A former shipper that is still at work writes next at the end of the replica or, if it has just ended its index, at
 * the start of the next one. Resuming writes at both (difference.ts), each a key that only one can create: the former
 * one stops, `fenced`, or was faster and what it wrote is followed on. The claim is read again after the first upload of
 * each index.
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
 * The former owner claimed the replica anew while it was being taken over: what was read of it is out of date. Its taking
 * over begins again, for who starts later is to be the owner.
 */
export class ClaimRenewed extends SeawallError {
  constructor(holder: string) {
    super('conflict', 'CLAIM_RENEWED', `${holder} claimed the replica anew while it was being taken over`, {
      key: CLAIM_KEY,
    });
  }
}

/** The claim that is to be replaced; `claim` is undefined where it is damaged. */
export type FormerClaim = { readonly claim: Claim | undefined; readonly etag: string } | undefined;

/** Throws Fenced when the claim may not be replaced. */
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
