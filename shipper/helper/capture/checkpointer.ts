/** Keeps the WAL short: carries out what the checkpoint policy decides, and remembers what stood in the way. */
import { frameSize } from '../../../replica/wal/format.ts';
import type { Clock } from '../../clock.ts';
import type { Blocker } from '../../reasons.ts';
import type { LiveDatabase, Take } from '../database/live-database.ts';
import type { ShmHeader } from '../database/shm-header.ts';
import { decideCheckpoint, type CheckpointLimits, type Occasion } from './checkpoint-policy.ts';

/** Times are of the steady clock. */
type IndexPhase =
  /** No frame of the present index was seen yet. */
  | { readonly kind: 'empty' }
  /** It has frames, the first of which was seen at `since`. */
  | { readonly kind: 'open'; readonly since: number }
  /** It was sealed at so many frames. If the WAL has another number now, the app went on without a restart. */
  | { readonly kind: 'sealed'; readonly since: number | undefined; readonly frames: number };

/** How far the disk is with the WAL. A passive checkpoint ends it; `since` and `rounds` count from the one before. */
type FlushPhase =
  | { readonly kind: 'none' }
  | { readonly kind: 'flushing' | 'flushed'; readonly since: number; readonly rounds: number };

/** The last tries to seal: when one last failed, how many failed in a row, and what stood in the way of it. */
interface Obstacle {
  readonly lastFailure: number;
  readonly failures: number;
  readonly by: Blocker | undefined;
}

/**
 * An app that opens and closes the database for each commit would end an index each time. So after such an end there is
 * none for so many milliseconds, unless there was no commit for a moment.
 */
const CLOSED_PAUSE = 10_000;
const CLOSED_REST = 1000;

export class Checkpointer {
  readonly #live: LiveDatabase;
  readonly #limits: CheckpointLimits;
  readonly #clock: Clock;
  #index: IndexPhase = { kind: 'empty' };
  #flush: FlushPhase = { kind: 'none' };
  /** Frames of the present index that the disk was asked to take. */
  #flushedFrames = 0;
  #passive = { ended: -Infinity, took: 0 };
  /** When there were last commits, and when the files were last left as at a close. */
  #busyAt = -Infinity;
  #closedAt = -Infinity;
  #obstacle: Obstacle = { lastFailure: -Infinity, failures: 0, by: undefined };

  constructor(live: LiveDatabase, limits: CheckpointLimits, clock: Clock) {
    this.#live = live;
    this.#limits = limits;
    this.#clock = clock;
  }

  /** What kept the last seal or checkpoint from happening; undefined if nothing does. */
  get blockedBy(): Blocker | undefined {
    return this.#obstacle.by;
  }

  /** The WAL was restarted, or the app went on after a seal without a restart. */
  restarted(): void {
    this.#index = { kind: 'empty' };
    this.#flushedFrames = 0;
  }

  /** Returns `pin-moved` if a seal was tried and failed: the caller no longer knows where the pin stands. */
  maintain(
    wal: ShmHeader,
    occasion: Occasion,
    { advancePin, take }: { readonly advancePin: () => void; readonly take: Take },
  ): 'pin-moved' | undefined {
    const live = this.#live;
    if (live.snapshotHeld) return undefined;
    const size = frameSize(live.pageSize);
    const now = this.#clock.steady();
    if (occasion !== 'ended' && wal.frames > 0) this.#hasFrames(now);
    const index = this.#index;
    if (occasion === 'busy') this.#busyAt = now;
    else if ((occasion === 'idle' || occasion === 'ended') && this.#isClosedByApp(now)) {
      return this.#endWithApp(wal, occasion, take);
    }
    const isOver = occasion === 'ended' || (index.kind === 'sealed' && wal.frames === index.frames);
    const frames = isOver ? 0 : wal.frames;
    const since = index.kind === 'empty' ? undefined : index.since;
    const action = decideCheckpoint(
      {
        frames,
        used: frames * size,
        pending: (wal.frames - wal.backfilled) * size,
        get fileSize() {
          return live.files.walSize();
        },
        indexAge: since === undefined ? 0 : now - since,
        sincePassive: now - this.#passive.ended,
        passiveTook: this.#passive.took,
        unflushed: (wal.frames - this.#flushedFrames) * size,
        flushing: this.#flush.kind === 'flushing',
        flushes: this.#flush.kind === 'none' ? 0 : this.#flush.rounds,
        sinceBlocked: now - this.#obstacle.lastFailure,
        blockedTries: this.#obstacle.failures,
        occasion,
      },
      this.#limits,
    );
    switch (action.kind) {
      case 'none':
        break;
      case 'flush':
        this.#flushWal(wal.frames);
        break;
      case 'passive':
        advancePin();
        this.#checkpointPassive(now);
        break;
      case 'seal-idle':
        if (live.sealIdle(take)) this.#sealed(wal.frames);
        break;
      case 'seal':
        return this.#seal(take);
    }
    return undefined;
  }

  /** All processes have closed the database while its WAL still holds something. */
  #isClosedByApp(now: number): boolean {
    const pause = now - this.#busyAt < CLOSED_REST ? CLOSED_PAUSE : CLOSED_REST;
    if (now - this.#closedAt < pause) return false;
    return this.#live.files.walSize() > 0 && this.#live.isLeft();
  }

  /**
   * Leaves the files as SQLite leaves them when a database is closed: everything in the database file, and an empty WAL.
   * So a copy of the file is whole, and a file that is copied over it meets no frames of its predecessor.
   */
  #endWithApp(wal: ShmHeader, occasion: Occasion, take: Take): 'pin-moved' | undefined {
    this.#closedAt = this.#clock.steady();
    let moved: 'pin-moved' | undefined;
    if (occasion === 'idle' && wal.frames > 0) moved = this.#seal(take);
    if (moved === undefined) this.#live.emptyWal();
    return moved;
  }

  #hasFrames(now: number): void {
    const index = this.#index;
    if (index.kind === 'empty') this.#index = { kind: 'open', since: now };
    else if (index.since === undefined) this.#index = { ...index, since: now };
  }

  #flushWal(frames: number): void {
    const { since, rounds } = this.#flush.kind === 'none' ? { since: this.#clock.steady(), rounds: 0 } : this.#flush;
    this.#flush = { kind: 'flushing', since, rounds: rounds + 1 };
    this.#flushedFrames = frames;
    void this.#live.files.flushWal().finally(() => {
      if (this.#flush.kind === 'flushing') this.#flush = { ...this.#flush, kind: 'flushed' };
    });
  }

  /** The flushes before count as part of the checkpoint: its duration decides when the next one may begin. */
  #checkpointPassive(now: number): void {
    const result = this.#live.checkpointPassive();
    if (result === 'disk') this.#obstacle = { ...this.#obstacle, by: 'disk' };
    else if (this.#obstacle.by === 'disk') this.#obstacle = { ...this.#obstacle, by: undefined };
    const ended = this.#clock.steady();
    this.#passive = { ended, took: ended - (this.#flush.kind === 'none' ? now : this.#flush.since) };
    this.#flush = { kind: 'none' };
  }

  #seal(take: Take): 'pin-moved' | undefined {
    const result = this.#live.seal(take);
    if (result.kind === 'sealed') {
      this.#sealed(result.wal.frames);
      return undefined;
    }
    const failures = this.#obstacle.failures + 1;
    this.#obstacle = { lastFailure: this.#clock.steady(), failures, by: result.by };
    return 'pin-moved';
  }

  /** The index ends here unless the app goes on without restarting the WAL. Until then there is nothing to do. */
  #sealed(frames: number): void {
    this.#index = { kind: 'sealed', since: this.#index.kind === 'empty' ? undefined : this.#index.since, frames };
    this.#obstacle = { ...this.#obstacle, failures: 0, by: undefined };
    if (this.#live.files.walSize() >= this.#limits.shrinkAt) this.#live.shrinkWal();
  }
}
