/**
 * Follows the live WAL: notes commits, moves the pin, checkpoints, seals indexes, and captures frames into staging.
 *
 * Everything here is synchronous, so that nothing comes between a decision and its effect within this process.
 *
 * What the pin costs the app is a matter of when it moves. SQLite checkpoints within the commit that finds 1,000 frames
 * in the WAL, and within every later one while a reader keeps the WAL from its restart. With a pin that moved at each
 * look, that was two fsyncs for most commits: the p99 at 200 commits a second was thirty times that of plain SQLite. So
 * the pin stays where it is while the app is busy, for a second at most, and a WAL of 500 frames or more is ended
 * together with the upload of its commits, or into staging if the upload is overdue: both leave such checkpoints
 * nothing to do.
 */
import type { Codec } from '../../../replica/format/codec.ts';
import type { PageHashes } from '../../../replica/format/page-hashes.ts';
import { release } from '../../../replica/runtime/release.ts';
import { offsetAfter } from '../../../replica/wal/format.ts';
import { captureNext, type CapturePoint } from './capture.ts';
import { ContinuityLost } from '../continuity-lost.ts';
import type { CheckpointLimits, Occasion } from './checkpoint-policy.ts';
import { Checkpointer } from './checkpointer.ts';
import { SeenCommits } from './seen-commits.ts';
import type { Clock } from '../../clock.ts';
import { KeptFrames, type WalBytes } from './kept-frames.ts';
import type { Blocker } from '../../reasons.ts';
import type { LiveDatabase, SealResult, Take } from '../database/live-database.ts';
import type { Staging } from './staging.ts';
import type { ShmHeader } from '../database/shm-header.ts';
import type { Boundary } from './boundary.ts';

export interface FollowerSettings extends CheckpointLimits {
  readonly segmentSize: number;
  readonly stagingLimit: number;
  readonly syncInterval: number;
  readonly codec: Codec;
}

/**
 * Milliseconds after which the pin moves on although the app goes on committing. A checkpoint of the app that finds the
 * pin where it was has nothing to copy and costs next to nothing; each move gives it work, fsyncs included.
 */
const PIN_PAUSE = 1000;
/** Most bytes of frames kept in memory while an index ends. Usually twice the length of an index is less. */
const MOST_KEPT = 32 << 20;
/**
 * An index that could not be ended in time may grow to this many times its length, and to the staging limit, before the
 * app is held back.
 */
const FAR_AHEAD = 16;
/** Milliseconds of capturing at a time, if there is more to capture than uploads ask for. */
const SLICE = 15;

/** How far the capture is with the present index. */
type IndexPhase =
  /** It has not begun: the WAL may still be as its predecessor, which ended at `boundary`, left it. */
  | { readonly kind: 'before'; readonly boundary: Boundary }
  /**
   * It has begun, in the life of the WAL with these salts. Its first `replayed` frames repeat older history: the WAL
   * went on after the boundary without a restart, because a reader of the app stood in its way.
   */
  | { readonly kind: 'within'; readonly salt1: number; readonly salt2: number; readonly replayed: number };

export class Follower {
  readonly #live: LiveDatabase;
  readonly #staging: Staging;
  readonly #settings: FollowerSettings;
  readonly #checkpointer: Checkpointer;
  readonly #clock: Clock;
  readonly #hashes: PageHashes;
  readonly #seen = new SeenCommits();
  #point: CapturePoint;
  /** The end of the last segment captured; in the index before that of `#point` if that one holds nothing yet. */
  #taken: { readonly index: number; readonly offset: number };
  #index: IndexPhase;
  /** The pin is not beyond this many frames; undefined if that is unknown and must be found out first. */
  #pinnedFrames: number | undefined;
  /** When the pin last moved, and when the next segment was last asked for to be uploaded, by the steady clock. */
  #lastPinned = -Infinity;
  #lastAsked: number;

  constructor(
    live: LiveDatabase,
    staging: Staging,
    settings: FollowerSettings,
    clock: Clock,
    start: { readonly point: CapturePoint; readonly hashes: PageHashes; readonly boundary: Boundary },
  ) {
    this.#live = live;
    this.#staging = staging;
    this.#settings = settings;
    this.#checkpointer = new Checkpointer(live, settings, clock);
    this.#clock = clock;
    this.#point = start.point;
    this.#taken = start.point;
    this.#hashes = start.hashes;
    this.#index = { kind: 'before', boundary: start.boundary };
    this.#lastAsked = clock.steady();
  }

  get point(): CapturePoint {
    return this.#point;
  }

  get hashes(): PageHashes {
    return this.#hashes;
  }

  get blockedBy(): Blocker | undefined {
    return this.#checkpointer.blockedBy;
  }

  /** Looks at the WAL once. Throws {@link ContinuityLost} if the WAL no longer continues what was captured. */
  look(): void {
    const wal = this.#live.walIndex();
    if (wal === undefined) return;
    const end = this.#enter(wal);
    if (end === undefined) {
      this.#maintain(wal, 'idle');
      return;
    }
    const busy = end > (this.#seen.end ?? this.#point.offset);
    if (busy) this.#remember(end);
    const overdue = this.#overdue();
    if (this.behind && (overdue || end > this.#farAhead)) this.#catchUp(wal, end);
    if (this.#pinnedFrames === undefined) this.#pinnedFrames = wal.frames;
    else if (!busy || this.#pinIsDue(wal)) this.#advancePin(wal);
    this.#maintain(wal, this.behind ? 'behind' : overdue ? 'overdue' : busy ? 'busy' : 'idle');
  }

  /** If there is more to copy, the pin moves with the helper's own checkpoints, before which the WAL is flushed. */
  #pinIsDue({ frames, backfilled }: ShmHeader): boolean {
    const pending = offsetAfter(frames - backfilled, this.#live.pageSize);
    return pending < this.#settings.checkpointAt && this.#clock.steady() - this.#lastPinned >= PIN_PAUSE;
  }

  /** More is committed and not captured than can be kept while the index ends, so the index does not end. */
  get behind(): boolean {
    return (this.#seen.end ?? 0) - this.#point.offset > this.#mostKept;
  }

  get #mostKept(): number {
    return Math.min(2 * this.#settings.sealAt, MOST_KEPT);
  }

  get #farAhead(): number {
    return Math.max(FAR_AHEAD * this.#settings.sealAt, this.#settings.stagingLimit);
  }

  /** Captures for a while, ahead of the uploads. If the app is too far ahead, it cannot commit meanwhile. */
  #catchUp(wal: ShmHeader, end: number): void {
    const capture = (): void => {
      const until = this.#clock.steady() + SLICE;
      while (this.#captureOne(wal) && this.#clock.steady() < until);
    };
    if (end - this.#point.offset > this.#farAhead) this.#live.holdingBack(capture);
    else capture();
  }

  /** Commits have waited for an upload longer than they should: the store is away. */
  #overdue(): boolean {
    return this.hasNews() && this.#clock.steady() - this.#lastAsked > 2 * this.#settings.syncInterval;
  }

  /** The end of everything committed by now, as a place in the replica's history; undefined if it is unknown now. */
  committed(): { readonly index: number; readonly offset: number } | undefined {
    const wal = this.#live.walIndex();
    if (wal === undefined) return undefined;
    const end = this.#enter(wal);
    if (end !== undefined && end > (this.#seen.end ?? this.#point.offset)) this.#remember(end);
    return end === undefined || end <= this.#point.offset ? this.#taken : { index: this.#point.index, offset: end };
  }

  hasNews(): boolean {
    return (this.#seen.end ?? 0) > this.#point.offset;
  }

  /** Whether everything up to a place that {@link committed} returned is in segments. */
  captured(place: { readonly index: number; readonly offset: number }): boolean {
    const { index, offset } = this.#taken;
    return index > place.index || (index === place.index && offset >= place.offset);
  }

  /**
   * Captures the next segment into staging, if there is one. An index that has grown long ends with its last segment,
   * so that its end needs no upload of its own. Throws {@link ContinuityLost}.
   */
  capture(): void {
    this.#lastAsked = this.#clock.steady();
    const wal = this.#live.walIndex();
    const end = wal && this.#enter(wal);
    if (wal === undefined || end === undefined) return;
    this.#remember(end);
    if (this.#captureOne(wal, 'asked-for') && this.#point.offset === end) this.#maintain(wal, 'uploading');
  }

  /** Captures all that is committed, and touches nothing: the files may be those of a database that was replaced. */
  captureTheRest(): void {
    const wal = this.#live.walIndex();
    const end = wal && this.#enter(wal);
    if (wal === undefined || end === undefined) return;
    this.#remember(end);
    while (this.#captureOne(wal));
  }

  /**
   * Lets `act` end the index. What it takes is kept meanwhile and captured afterwards, even if it ended nothing: the
   * WAL may have moved on from what was taken.
   */
  #keeping<T>(act: (take: Take) => T): T {
    const kept = new KeptFrames(this.#fromWal.read);
    try {
      return act((wal) => {
        this.#keep(kept, wal);
      });
    } finally {
      this.#captureKept(kept);
    }
  }

  #keep(kept: KeptFrames, wal: ShmHeader): void {
    const { salt1, salt2 } = kept.wal ?? wal;
    if (salt1 !== wal.salt1 || salt2 !== wal.salt2) this.#captureKept(kept); // the WAL was restarted after it was taken
    this.#pinnedFrames = wal.frames;
    const end = this.#enter(wal);
    if (end === undefined) return;
    this.#remember(end);
    while (end - this.#point.offset > this.#mostKept && this.#captureOne(wal));
    kept.keep(wal, this.#point.offset, end);
  }

  #captureKept(kept: KeptFrames): void {
    try {
      if (kept.wal !== undefined) while (this.#captureOne(kept.wal, 'urgent', kept));
    } finally {
      kept.clear();
    }
  }

  readonly #fromWal: WalBytes = { read: (offset, length) => this.#live.files.readWal(offset, length), letGo: release };

  /** Only what was asked for, to be uploaded, is packed tightly. Otherwise the app, or a queue, may be waiting. */
  #captureOne(wal: ShmHeader, why: 'asked-for' | 'urgent' = 'urgent', from: WalBytes = this.#fromWal): boolean {
    const { segmentSize, codec } = this.#settings;
    const replayed = this.#index.kind === 'within' ? this.#index.replayed : 0;
    const replayEnd = replayed === 0 ? 0 : offsetAfter(replayed, this.#live.pageSize);
    const segment = captureNext(this.#point, wal, { ...from, pageSize: this.#live.pageSize }, this.#hashes, {
      segmentSize,
      codec,
      urgent: why === 'urgent',
      seen: this.#seen.looks,
      replayEnd,
    });
    if (segment === undefined) return false;
    this.#point = segment.after;
    this.#taken = { index: segment.index, offset: segment.end };
    this.#seen.captured(segment.end);
    this.#staging.push(segment);
    return true;
  }

  /**
   * Ends the present index and holds a snapshot of the database at its end (see {@link LiveDatabase.hold}). Everything
   * before is then captured, and the present point becomes the start of the next index.
   */
  hold(locking: boolean): SealResult {
    const result = this.#keeping((take) => this.#live.hold(take, locking));
    if (result.kind === 'sealed' && this.#point.offset > 0) this.#endIndex(result.wal);
    // An attempt under the lock moves the pin even if it fails.
    if (result.kind === 'blocked' && locking) this.#pinnedFrames = undefined;
    return result;
  }

  /**
   * Finds the end of the committed frames within the present index; undefined while the index has not begun. Moves on
   * to the next index if the WAL was restarted.
   */
  #enter(wal: ShmHeader): number | undefined {
    const index = this.#index;
    if (index.kind === 'before') {
      const { boundary } = index;
      const sameLife = wal.salt1 === boundary.salt1 && wal.salt2 === boundary.salt2;
      if (wal.frames === 0 || (sameLife && wal.frames <= boundary.frames)) return undefined;
      this.#begin(wal, sameLife ? boundary.frames : 0);
    } else if (wal.salt1 !== index.salt1 || wal.salt2 !== index.salt2) {
      // The new salts do not tell how many restarts there were: a TRUNCATE of the app counts an empty WAL, too, and a
      // connection that never saw a restart draws new ones. The pin ensures that no frame was missed.
      if (this.hasNews()) throw new ContinuityLost('wal-reset', 'the WAL was restarted before all of it was captured');
      if (this.#point.offset > 0) {
        this.#nextPoint();
        this.#begin(wal, 0);
      } else this.#index = { ...index, salt1: wal.salt1, salt2: wal.salt2 };
    }
    if (wal.frames === 0) return undefined;
    return offsetAfter(wal.frames, this.#live.pageSize);
  }

  /** The present index begins in this life of the WAL. */
  #begin({ salt1, salt2 }: ShmHeader, replayed: number): void {
    this.#index = { kind: 'within', salt1, salt2, replayed };
    this.#pinnedFrames = 0;
    this.#checkpointer.restarted();
  }

  /** After a seal: the index ends there whatever the WAL does next. */
  #endIndex({ salt1, salt2, frames }: ShmHeader): void {
    this.#index = { kind: 'before', boundary: { salt1, salt2, frames, sealed: true } };
    this.#nextPoint();
  }

  #nextPoint(): void {
    this.#point = { ...this.#point, index: this.#point.index + 1, offset: 0, wal: undefined };
    this.#seen.clear();
  }

  #remember(end: number): void {
    if (end > (this.#seen.end ?? this.#point.offset)) this.#seen.add(end, this.#clock.now());
  }

  /** Moves the pin, but only onto newer frames: otherwise it might come to stand on the database file alone. */
  #advancePin(wal: ShmHeader): void {
    if (this.#pinnedFrames === undefined || wal.frames <= this.#pinnedFrames) return;
    this.#pinnedFrames = this.#live.advancePin();
    this.#lastPinned = this.#clock.steady();
  }

  #maintain(wal: ShmHeader, what: Occasion): void {
    // A WAL whose index is not sealed is looked after as usual: a checkpoint of the app may wait for the pin to move.
    const ended = this.#index.kind === 'before' && this.#index.boundary.sealed;
    const moved = this.#keeping((take) =>
      this.#checkpointer.maintain(wal, ended ? 'ended' : what, {
        advancePin: () => {
          this.#advancePin(wal);
        },
        take,
      }),
    );
    if (moved === 'pin-moved') this.#pinnedFrames = undefined;
  }
}
