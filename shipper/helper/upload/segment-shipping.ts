/**
 * Ships captured segments one by one, and finds out whether what was shipped counts: whether the claim is this shipper's
 * still, and whether the replica has everything that was put into it.
 *
 * The claim is read after the first upload of each index, after every failure, and before `sync()` is answered: one GET
 * for all who wait then. The replica is looked at (replica-watch.ts) with each index and each heartbeat, and before an
 * answer if the last look is older than {@link FRESH}.
 */
import type { Store } from '../../../replica/store/store.ts';
import type { CapturedSegment } from '../capture/capture.ts';
import type { HeldClaim, LostClaim } from './claim.ts';
import { ReplicaWatch, type Watched } from './replica-watch.ts';
import { KeyTaken, retryForever, uploadSegment, type UploadSettings } from './uploader.ts';

/** Milliseconds for which a look at the replica holds, while nothing is known to be wrong. */
const FRESH = 10_000;

/** Why nothing can follow on what was shipped, and where that was seen. */
export interface LostReplica {
  readonly cause: LostClaim | 'contested';
  readonly detail: string;
}

export class SegmentShipping {
  readonly #store: Store;
  readonly #claim: HeldClaim;
  readonly #upload: UploadSettings;
  readonly #watch: ReplicaWatch;
  readonly #elapsed: () => number;
  readonly #fresh: number;
  #claimedIndex = -1;
  #lookedAt = -Infinity;
  /** Something failed since the replica was looked at last. */
  #doubt = false;

  /** `heartbeat` in milliseconds, 0 for none; `elapsed` is a steady clock, milliseconds. */
  constructor(store: Store, claim: HeldClaim, heartbeat: number, upload: UploadSettings, elapsed: () => number) {
    this.#store = store;
    this.#claim = claim;
    this.#watch = new ReplicaWatch(store, elapsed);
    this.#elapsed = elapsed;
    this.#fresh = heartbeat === 0 ? FRESH : Math.min(FRESH, heartbeat);
    this.#upload = {
      ...upload,
      onFailure: (...failure) => {
        this.#doubt = true;
        upload.onFailure(...failure);
      },
    };
  }

  /** A generation was begun or is continued. Its first segment counts once the claim was read after it. */
  began(watched: Watched): void {
    this.#watch.begin(watched);
    this.#claimedIndex = -1;
    this.#lookedAt = this.#elapsed();
    this.#doubt = false;
  }

  /**
   * Tries for as long as it takes. Answers why nothing can follow on this segment, if so. Throws Fenced once the claim is
   * another's.
   */
  async ship(segment: CapturedSegment, signal: AbortSignal): Promise<LostReplica | undefined> {
    try {
      await uploadSegment(this.#store, segment, { ...this.#upload, signal });
    } catch (error) {
      if (!(error instanceof KeyTaken)) throw error;
      const cause = await this.checkClaim(signal);
      // If the claim is ours, the key was left by a writer that lost it.
      return { cause: cause ?? 'contested', detail: `seen at ${segment.key}` };
    }
    this.#watch.add(segment);
    if (segment.index === this.#claimedIndex && !this.#doubt) return undefined;
    const lost = await this.check(signal);
    if (lost === undefined) this.#claimedIndex = segment.index;
    return lost;
  }

  /**
   * Whether everything that was shipped before this call may be answered for: the claim is read, and the replica is
   * looked at if that was long ago.
   */
  async confirm(signal: AbortSignal): Promise<LostReplica | undefined> {
    if (this.#doubt || this.#elapsed() >= this.#lookedAt + this.#fresh) return this.check(signal);
    const cause = await this.checkClaim(signal);
    return cause && { cause, detail: 'seen before an answer' };
  }

  /** Looks at the replica and reads the claim. Tries for as long as it takes; throws Fenced. */
  check(signal: AbortSignal): Promise<LostReplica | undefined> {
    return retryForever({ ...this.#upload, signal }, () => this.checkOnce());
  }

  /** The same, in one try: throws what the store throws, too. */
  async checkOnce(): Promise<LostReplica | undefined> {
    const at = this.#elapsed();
    const missing = await this.#watch.missing();
    // The claim comes last: only a read of it that begins after the upload says whose the segment is.
    const cause = await this.#claim.check();
    if (cause !== undefined) return { cause, detail: 'seen at the claim' };
    if (missing !== undefined) return { cause: 'replica-lost', detail: `${missing} is missing` };
    this.#lookedAt = at;
    this.#doubt = false;
    return undefined;
  }

  /** How the claim was lost; undefined if it was not. Throws Fenced if another shipper took the replica over. */
  checkClaim(signal: AbortSignal): Promise<LostClaim | undefined> {
    return retryForever({ ...this.#upload, signal }, () => this.#claim.check());
  }
}
