/** Ships captured segments one by one, under a claim that is looked at again with each new index. */
import { readClaim } from '../../replica/control.ts';
import type { Store } from '../../replica/store/store.ts';
import type { CapturedSegment } from './capture.ts';
import type { Owner } from './generation-start.ts';
import { Fenced, persistently, uploadSegment, type UploadSettings } from './uploader.ts';

export class SegmentShipping {
  readonly #store: Store;
  readonly #owner: Owner;
  readonly #upload: UploadSettings;
  #claimedIndex = -1;

  constructor(store: Store, owner: Owner, upload: UploadSettings) {
    this.#store = store;
    this.#owner = owner;
    this.#upload = upload;
  }

  /** The claim was just taken, for this index on. */
  claimed(index: number): void {
    this.#claimedIndex = index;
  }

  /**
   * Tries for as long as it takes. `contested`: another writer left an object under this key, though the claim is
   * ours; what follows here cannot follow on that. Throws Fenced once the claim is another's.
   */
  async ship(segment: CapturedSegment): Promise<'shipped' | 'contested'> {
    try {
      await uploadSegment(this.#store, segment, this.#upload);
      // After the upload: whoever took the claim before it has looked for this key, or will meet it.
      if (segment.index !== this.#claimedIndex) await this.checkClaim();
      this.#claimedIndex = segment.index;
      return 'shipped';
    } catch (error) {
      if (!(error instanceof Fenced)) throw error;
      await this.checkClaim();
      return 'contested';
    }
  }

  /** Throws Fenced when another shipper took the replica over. */
  checkClaim(): Promise<void> {
    return persistently(this.#upload, async () => {
      const found = await readClaim(this.#store);
      if (found?.claim.owner === this.#owner.owner) return;
      throw new Fenced(
        `another shipper (${found?.claim.holder ?? 'unknown'}) took the replica over; this one stops`,
        'seawall/claim',
      );
    });
  }
}
