/**
 * Follows the live WAL: notes commits, moves the pin, checkpoints, seals indexes, and captures frames into staging.
 *
 * Everything here is synchronous, so that nothing comes between a decision and its effect within this process.
 */
import type { Codec } from '../../replica/format/codec.ts';
import type { PageHashes } from '../../replica/format/page-hashes.ts';
import { frameSize, offsetAfter } from '../../replica/wal/format.ts';
import { captureNext, ContinuityLost, type CapturePoint } from './capture.ts';
import { decideCheckpoint, type CheckpointLimits } from './checkpoint-policy.ts';
import type { LiveDatabase, SealResult } from './live-database.ts';
import type { Staging } from './staging.ts';
import type { WalIndex } from './wal-index.ts';

/** The place in a life of the WAL file at which the present index of the replica begins. */
export interface Boundary {
  readonly salt1: number;
  readonly salt2: number;
  /** Frames of that life that belong to older history. */
  readonly frames: number;
}

export interface FollowerSettings extends CheckpointLimits {
  readonly segmentSize: number;
  readonly codec: Codec;
}

/**
 * Milliseconds after which the pin moves on although the app goes on committing. A checkpoint of the app that finds the
 * pin where it was has nothing to copy and costs next to nothing; each move gives it work, fsyncs included.
 */
const PIN_PAUSE = 1000;
/** Looks remembered between two captures; more are thinned out. */
const MOST_LOOKS = 8192;

export class Follower {
  readonly #live: LiveDatabase;
  readonly #staging: Staging;
  readonly #settings: FollowerSettings;
  readonly #now: () => number;
  #point: CapturePoint;
  #hashes: PageHashes;
  /** The end of the last segment captured; in the index before that of `#point` when that one holds nothing yet. */
  #taken: { readonly index: number; readonly offset: number };
  /** Set while the present index has not begun: where in the WAL its predecessor ended. */
  #boundary: Boundary | undefined;
  /** Frames at the start of the present index that repeat older history (see `#enter`). */
  #replayed = 0;
  #seen: { offset: number; time: number }[] = [];
  /** The pin is not beyond this many frames; undefined when that could not be told and must be found out first. */
  #pinnedFrames: number | undefined;
  /** Frames at the last seal, while the WAL still is as it was then. */
  #sealedFrames: number | undefined;
  #indexSince: number | undefined;
  #lastPinned = -Infinity;
  #lastPassive = -Infinity;
  #lastBlocked = -Infinity;
  #blockedTries = 0;
  #blockedBy: string | undefined;

  constructor(
    live: LiveDatabase,
    staging: Staging,
    settings: FollowerSettings,
    now: () => number,
    start: { readonly point: CapturePoint; readonly hashes: PageHashes; readonly boundary: Boundary | undefined },
  ) {
    this.#live = live;
    this.#staging = staging;
    this.#settings = settings;
    this.#now = now;
    this.#point = start.point;
    this.#taken = start.point;
    this.#hashes = start.hashes;
    this.#boundary = start.boundary;
  }

  get point(): CapturePoint {
    return this.#point;
  }

  get hashes(): PageHashes {
    return this.#hashes;
  }

  /** Who kept the last seal from happening; undefined when nothing does. */
  get blockedBy(): string | undefined {
    return this.#blockedBy;
  }

  /**
   * Looks at the WAL once. Returns whether there are commits that are not captured yet. Throws
   * {@link ContinuityLost} when the WAL no longer continues what was captured.
   */
  look(): boolean {
    const wal = this.#live.walIndex();
    if (wal === undefined) return this.hasNews();
    const end = this.#enter(wal);
    if (end === undefined) {
      this.#maintain(wal, 'idle');
      return false;
    }
    const busy = end > (this.#seen.at(-1)?.offset ?? this.#point.offset);
    if (busy) this.#remember(end);
    if (this.#pinnedFrames === undefined) this.#pinnedFrames = wal.frames;
    else if (!busy || performance.now() - this.#lastPinned >= PIN_PAUSE) this.#advancePin(wal);
    this.#maintain(wal, busy ? 'busy' : 'idle');
    return this.hasNews();
  }

  /** The end of everything committed by now, as a place in the replica's history. */
  committed(): { readonly index: number; readonly offset: number } {
    const wal = this.#live.walIndex();
    const end = wal === undefined ? undefined : this.#enter(wal);
    if (end !== undefined && end > (this.#seen.at(-1)?.offset ?? this.#point.offset)) this.#remember(end);
    return end === undefined || end <= this.#point.offset ? this.#taken : { index: this.#point.index, offset: end };
  }

  hasNews(): boolean {
    return (this.#seen.at(-1)?.offset ?? 0) > this.#point.offset;
  }

  /** Whether everything up to a place that {@link committed} told is in segments. */
  captured(place: { readonly index: number; readonly offset: number }): boolean {
    const { index, offset } = this.#taken;
    return index > place.index || (index === place.index && offset >= place.offset);
  }

  /**
   * Captures the next segment into staging. 'overflow' when staging is full and nothing was captured. With the last one
   * an index that has grown long ends, so that its end needs no upload of its own.
   */
  capture(): 'captured' | 'nothing' | 'overflow' {
    const wal = this.#live.walIndex();
    if (wal === undefined) return 'nothing';
    const end = this.#enter(wal);
    if (end === undefined) return 'nothing';
    this.#remember(end);
    const result = this.#captureOne(wal);
    if (result === 'captured' && this.#point.offset === end) this.#maintain(wal, 'uploading');
    return result;
  }

  /** Captures all that is committed. */
  #captureAll(wal: WalIndex): boolean {
    const end = this.#enter(wal);
    if (end === undefined) return true;
    this.#remember(end);
    for (;;) {
      const result = this.#captureOne(wal);
      if (result === 'nothing') return true;
      if (result === 'overflow') return false;
    }
  }

  #captureOne(wal: WalIndex): 'captured' | 'nothing' | 'overflow' {
    const { segmentSize, codec } = this.#settings;
    const replayEnd = this.#replayed === 0 ? 0 : offsetAfter(this.#replayed, this.#live.pageSize);
    const source = {
      readWal: (offset: number, length: number) => this.#live.readWal(offset, length),
      pageSize: this.#live.pageSize,
    };
    const segment = captureNext(this.#point, wal, source, this.#hashes, {
      segmentSize,
      codec,
      seen: this.#seen,
      replayEnd,
    });
    if (segment === undefined) return 'nothing';
    this.#point = segment.after;
    this.#taken = { index: segment.index, offset: segment.end };
    this.#seen = this.#seen.filter(({ offset }) => offset > segment.end);
    if (this.#staging.push(segment)) return 'captured';
    return 'overflow';
  }

  /**
   * Ends the present index and holds a snapshot of the database at its end. Everything before is captured then. The
   * present point becomes the start of the next index.
   */
  sealForSnapshot(): SealResult {
    const result = this.#sealAndCapture(true);
    if (result.kind === 'sealed' && this.#point.offset > 0) this.#endIndex(result.wal);
    return result;
  }

  /**
   * Finds the end of the committed frames within the present index; undefined while the index has not begun. Moves on
   * to the next index when the WAL was restarted.
   */
  #enter(wal: WalIndex): number | undefined {
    const boundary = this.#boundary;
    if (boundary !== undefined) {
      const sameLife = wal.salt1 === boundary.salt1 && wal.salt2 === boundary.salt2;
      if (wal.frames === 0 || (sameLife && wal.frames <= boundary.frames)) return undefined;
      // The WAL went on without a restart, because a reader of the app stood in its way: then this index repeats the
      // WAL's whole life, and the states inside the repeated part are no restore points.
      this.#replayed = sameLife ? boundary.frames : 0;
      this.#boundary = undefined;
      this.#indexSince = this.#now();
      this.#pinnedFrames = 0;
      this.#sealedFrames = undefined;
    }
    const current = this.#point.wal;
    if (current !== undefined && (wal.salt1 !== current.salt1 || wal.salt2 !== current.salt2)) {
      // Which salts follow says nothing: a TRUNCATE of the app counts an empty WAL, too, and a connection that never
      // saw a restart draws new ones. That no frame was missed is the pin's doing.
      if (this.hasNews()) throw new ContinuityLost('wal-reset', 'the WAL was restarted before all of it was captured');
      this.#point = { ...this.#point, index: this.#point.index + 1, offset: 0, wal: undefined };
      this.#replayed = 0;
      this.#seen = [];
      this.#pinnedFrames = 0;
      this.#sealedFrames = undefined;
      this.#indexSince = wal.frames === 0 ? undefined : this.#now();
    }
    if (wal.frames === 0) return undefined;
    this.#indexSince ??= this.#now();
    return offsetAfter(wal.frames, this.#live.pageSize);
  }

  /** After a seal whose end counts as the end of an index whatever the WAL does next. */
  #endIndex(wal: WalIndex): void {
    this.#boundary = { salt1: wal.salt1, salt2: wal.salt2, frames: wal.frames };
    this.#point = { ...this.#point, index: this.#point.index + 1, offset: 0, wal: undefined };
    this.#seen = [];
  }

  #remember(end: number): void {
    const last = this.#seen.at(-1)?.offset ?? this.#point.offset;
    if (end <= last) return;
    this.#seen.push({ offset: end, time: this.#now() });
    if (this.#seen.length > MOST_LOOKS) this.#seen = this.#seen.filter((_, i) => (this.#seen.length - 1 - i) % 2 === 0);
  }

  /** Only onto newer frames than it stands on, or it might come to stand on the database file alone. */
  #advancePin(wal: WalIndex): void {
    if (this.#pinnedFrames === undefined || wal.frames <= this.#pinnedFrames) return;
    this.#pinnedFrames = this.#live.advancePin();
    this.#lastPinned = performance.now();
  }

  #maintain(wal: WalIndex, what: 'idle' | 'busy' | 'uploading'): void {
    if (this.#live.snapshotHeld) return;
    const size = frameSize(this.#live.pageSize);
    const at = this.#now();
    const clock = performance.now();
    const frames = this.#boundary === undefined && wal.frames !== this.#sealedFrames ? wal.frames : 0;
    const action = decideCheckpoint(
      {
        frames,
        used: frames * size,
        pending: (wal.frames - wal.backfilled) * size,
        fileSize: this.#live.walFileSize(),
        indexAge: this.#indexSince === undefined ? 0 : at - this.#indexSince,
        sincePassive: clock - this.#lastPassive,
        sinceBlocked: clock - this.#lastBlocked,
        blockedTries: this.#blockedTries,
        busy: what === 'busy',
        uploading: what === 'uploading',
      },
      this.#settings,
    );
    switch (action.kind) {
      case 'none':
        break;
      case 'passive':
        this.#lastPassive = clock;
        this.#advancePin(wal);
        this.#live.checkpointPassive();
        break;
      case 'seal-idle':
        if (!this.#captureAll(wal)) throw stagingFull();
        if (this.#live.sealIdle((now) => this.#allCaptured(now))) this.#sealed(wal.frames);
        break;
      case 'seal':
        this.#seal();
        break;
    }
  }

  #seal(): void {
    const result = this.#sealAndCapture(false);
    if (result.kind === 'blocked') {
      this.#blockedBy = result.by;
      this.#blockedTries++;
      this.#lastBlocked = performance.now();
    }
    if (result.kind === 'sealed') this.#sealed(result.wal.frames);
  }

  /** Seals; what there is is captured before the write lock is taken, so that only a tail is left under it. */
  #sealAndCapture(hold: boolean): SealResult {
    const ahead = this.#live.walIndex();
    if (ahead === undefined) return { kind: 'blocked', by: 'writer' };
    if (!this.#captureAll(ahead)) throw stagingFull();
    const result = this.#live.seal((wal) => {
      this.#pinnedFrames = wal.frames;
      return this.#captureAll(wal);
    }, hold);
    if (result.kind === 'not-captured') throw stagingFull();
    return result;
  }

  /** The index ends here, unless the app goes on without restarting the WAL; until then there is nothing to do. */
  #sealed(frames: number): void {
    this.#sealedFrames = frames;
    this.#blockedBy = undefined;
    this.#blockedTries = 0;
    if (this.#live.walFileSize() >= this.#settings.shrinkAt) this.#live.shrinkWal();
  }

  #allCaptured(wal: WalIndex): boolean {
    const end = this.#enter(wal);
    return end === undefined || end === this.#point.offset;
  }
}

function stagingFull(): ContinuityLost {
  return new ContinuityLost('staging-full', 'captured segments reached the staging limit');
}
