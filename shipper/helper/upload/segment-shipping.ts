/**
 * Ships captured segments one by one. The claim is read again with each new index and after every failure: a bucket
 * that was away may come back empty, or with the claim of another shipper.
 */
import { readClaim } from '../../../replica/catalogue/claim.ts';
import { isKind } from '../../../replica/terms/errors.ts';
import type { Store } from '../../../replica/store/store.ts';
import type { LossCause } from '../../reasons.ts';
import type { CapturedSegment } from '../capture/capture.ts';
import type { Owner } from './claim.ts';
import { Fenced, retryForever, takenOver, uploadSegment, type UploadSettings } from './uploader.ts';

/** How a claim can be lost without another owner. */
export type LostClaim = Extract<LossCause, 'replica-lost' | 'claim-damaged'>;

export class SegmentShipping {
  readonly #store: Store;
  readonly #owner: Owner;
  readonly #upload: UploadSettings;
  #claimedIndex = -1;
  /** Something failed since the claim was last read. */
  #doubt = false;

  constructor(store: Store, owner: Owner, upload: UploadSettings) {
    this.#store = store;
    this.#owner = owner;
    this.#upload = {
      ...upload,
      onFailure: (...failure) => {
        this.#doubt = true;
        upload.onFailure(...failure);
      },
    };
  }

  /** The claim was just taken or confirmed, at this index. */
  claimed(index: number): void {
    this.#claimedIndex = index;
    this.#doubt = false;
  }

  /**
   * Tries as long as it takes. Any result but `shipped` says why nothing can follow this segment. Throws Fenced if the
   * claim is another shipper's.
   */
  async ship(segment: CapturedSegment, signal: AbortSignal): Promise<'shipped' | 'contested' | LostClaim> {
    const upload = { ...this.#upload, signal };
    try {
      await uploadSegment(this.#store, segment, upload);
      // The claim is read after the upload: whoever took it before has looked for this key, or will meet it.
      if (segment.index === this.#claimedIndex && !this.#doubt) return 'shipped';
      const lost = await this.checkClaim(signal);
      if (lost !== undefined) return lost;
      this.claimed(segment.index);
      return 'shipped';
    } catch (error) {
      if (!(error instanceof Fenced)) throw error;
      // If the claim is ours, the key is from a writer that lost it.
      return (await this.checkClaim(signal)) ?? 'contested';
    }
  }

  /** How the claim was lost; undefined if it was not. Throws Fenced if another shipper took the replica over. */
  checkClaim(signal: AbortSignal): Promise<LostClaim | undefined> {
    return retryForever({ ...this.#upload, signal }, async () => {
      try {
        const found = await readClaim(this.#store);
        if (found === undefined) return 'replica-lost';
        if (found.claim.owner === this.#owner.owner) return undefined;
        throw takenOver(found.claim.holder);
      } catch (error) {
        if (isKind(error, 'corrupt')) return 'claim-damaged';
        throw error;
      }
    });
  }
}
