/**
 * One owner: the claim names the shipper that owns the replica, and is replaced only under the ETag that was read.
 *
 * What `sync()` answers rests on the order of three things. A shipper puts a segment, reads the claim after that, and
 * answers. Another one replaces the claim and lists the replica after that. So either the claim was still the former
 * owner's when it was read, and then the segment is in the listing that the new owner goes on from; or the claim was the
 * new owner's, and then nothing is answered. test/model/one-owner.ts tries every order of these steps.
 *
 * The keys keep the WAL whole. A former shipper that is still at work writes next at the end of the replica or, if it has
 * just ended its index, at the start of the next one. Whoever takes over writes at both, each a key that only one can
 * create. If the former one was faster, what it wrote is read and continued (resume.ts).
 */
import { findClaim, readClaim, writeClaim } from '../../../replica/catalogue/claim.ts';
import { isKind, SeawallError, type Claim, type Store } from '../../../replica/index.ts';
import { CLAIM_KEY } from '../../../replica/terms/layout.ts';
import type { LossCause } from '../../reasons.ts';
import { takenOver } from './uploader.ts';

export interface Owner {
  readonly owner: string;
  readonly holder: string;
}

/** How a claim can be lost to nobody. */
export type LostClaim = Extract<LossCause, 'replica-lost' | 'claim-damaged'>;

/**
 * The former owner claimed the replica again while it was being taken over: what was read of it is out of date. The
 * takeover begins again, because the shipper that starts later becomes the owner.
 */
export class ClaimRenewed extends SeawallError {
  constructor(holder: string) {
    super('conflict', 'CLAIM_RENEWED', `${holder} claimed the replica again while it was being taken over`, {
      key: CLAIM_KEY,
    });
  }
}

/** The claim that is to be replaced; `claim` is undefined if it is damaged. */
export type FormerClaim = { readonly claim: Claim | undefined; readonly etag: string } | undefined;

/** The claim of one shipper on one replica. */
export class HeldClaim {
  readonly #store: Store;
  readonly #owner: Owner;
  /** As this shipper wrote it last; undefined before the first time. */
  #held: Claim | undefined;

  constructor(store: Store, owner: Owner) {
    this.#store = store;
    this.#owner = owner;
  }

  /** Throws Fenced if the claim may not be replaced: `isRestart` says that it must still be this owner's. */
  async readFormer(isRestart: boolean): Promise<FormerClaim> {
    const former = await findClaim(this.#store);
    const claim = former?.claim;
    if (isRestart && claim !== undefined && claim.owner !== this.#owner.owner && !this.#isOlder(claim)) {
      throw takenOver(claim.holder);
    }
    return former;
  }

  /**
   * Takes the claim on a generation. Throws Fenced if another shipper was faster, and {@link ClaimRenewed}. `since` in
   * milliseconds since 1970.
   */
  async take(former: FormerClaim, generation: string, since: number): Promise<void> {
    const epoch = Math.max(former?.claim?.epoch ?? 0, this.#held?.epoch ?? 0) + 1;
    const claim = { generation, epoch, since, ...this.#owner };
    try {
      await writeClaim(this.#store, claim, former === undefined ? 'absent' : { ifMatch: former.etag });
    } catch (error) {
      if (!isKind(error, 'conflict')) throw error;
      const now = (await readClaim(this.#store))?.claim;
      if (now === undefined || !isSame(now, claim)) {
        if (now !== undefined && now.owner === former?.claim?.owner) throw new ClaimRenewed(now.holder);
        throw takenOver(now?.holder);
      } // else the acknowledgement was lost
    }
    this.#held = claim;
  }

  /** Reads the claim: how it was lost, if it was. Throws Fenced when another shipper has it, and what the store throws. */
  async check(): Promise<LostClaim | undefined> {
    const found = await findClaim(this.#store);
    if (found === undefined) return 'replica-lost';
    const { claim } = found;
    if (claim === undefined) return 'claim-damaged';
    if (this.#held !== undefined && isSame(claim, this.#held)) return undefined;
    // An older claim is no takeover: the bucket was rolled back, or another one stands in its place.
    if (claim.owner === this.#owner.owner || this.#isOlder(claim)) return 'replica-lost';
    throw takenOver(claim.holder);
  }

  #isOlder(claim: Claim): boolean {
    return this.#held !== undefined && claim.epoch < this.#held.epoch && claim.since <= this.#held.since;
  }
}

function isSame(a: Claim, b: Claim): boolean {
  return a.owner === b.owner && a.epoch === b.epoch && a.generation === b.generation;
}
