/** Keeps the WAL short: carries out what the checkpoint policy decides, and remembers what stood in the way. */
import { frameSize } from '../../../replica/wal/format.ts';
import { decideCheckpoint, type CheckpointLimits } from './checkpoint-policy.ts';
import type { Blocker } from '../../reasons.ts';
import type { LiveDatabase, Take } from '../database/live-database.ts';
import type { ShmHeader } from '../database/shm-header.ts';

/**
 * When the WAL is looked after. `ended`: its present index has no frames yet. `idle`, `busy`: there were no commits
 * since the last look, or some. `uploading`: all that is committed was just captured, to be uploaded. `overdue`: it
 * should have been, but the store is away. `behind`: more is not captured yet than could be while the index ends.
 */
export type Occasion = 'ended' | 'idle' | 'busy' | 'uploading' | 'overdue' | 'behind';

export class Checkpointer {
  readonly #live: LiveDatabase;
  readonly #limits: CheckpointLimits;
  /** Frames at the last seal, while the WAL still is as it was then. */
  #sealedFrames: number | undefined;
  /** When the first frame of the present index was seen, by the steady clock. */
  #indexSince: number | undefined;
  #lastPassive = -Infinity;
  #passiveTook = 0;
  /** Frames of the present index that the disk has; whether it is being given more, and how often that was. */
  #flushedFrames = 0;
  #flushing = false;
  #flushes = 0;
  #flushedSince: number | undefined;
  #lastBlocked = -Infinity;
  #blockedTries = 0;
  #blockedBy: Blocker | undefined;

  constructor(live: LiveDatabase, limits: CheckpointLimits) {
    this.#live = live;
    this.#limits = limits;
  }

  /** What kept the last seal or checkpoint from happening; undefined when nothing does. */
  get blockedBy(): Blocker | undefined {
    return this.#blockedBy;
  }

  /** The WAL was begun anew, or went on after a seal. */
  restarted(): void {
    this.#sealedFrames = undefined;
    this.#indexSince = undefined;
    this.#flushedFrames = 0;
  }

  /** Answers `pin-moved` when a seal was tried in vain, so that the caller does not know where the pin stands now. */
  maintain(
    wal: ShmHeader,
    occasion: Occasion,
    { advancePin, take }: { readonly advancePin: () => void; readonly take: Take },
  ): 'pin-moved' | undefined {
    const live = this.#live;
    if (live.snapshotHeld) return undefined;
    const size = frameSize(live.pageSize);
    const clock = performance.now();
    if (occasion !== 'ended' && wal.frames > 0) this.#indexSince ??= clock;
    const frames = occasion !== 'ended' && wal.frames !== this.#sealedFrames ? wal.frames : 0;
    const action = decideCheckpoint(
      {
        frames,
        used: frames * size,
        pending: (wal.frames - wal.backfilled) * size,
        get fileSize() {
          return live.files.walSize();
        },
        indexAge: this.#indexSince === undefined ? 0 : clock - this.#indexSince,
        sincePassive: clock - this.#lastPassive,
        passiveTook: this.#passiveTook,
        unflushed: (wal.frames - this.#flushedFrames) * size,
        flushing: this.#flushing,
        flushes: this.#flushes,
        sinceBlocked: clock - this.#lastBlocked,
        blockedTries: this.#blockedTries,
        busy: occasion === 'busy',
        uploading: occasion === 'uploading' || occasion === 'overdue',
        behind: occasion === 'behind',
      },
      this.#limits,
    );
    switch (action.kind) {
      case 'none':
        break;
      case 'flush':
        this.#flush(wal.frames);
        break;
      case 'passive':
        this.#flushes = 0;
        advancePin();
        if (live.checkpointPassive() === 'disk') this.#blockedBy = 'disk';
        else if (this.#blockedBy === 'disk') this.#blockedBy = undefined;
        this.#lastPassive = performance.now();
        this.#passiveTook = this.#lastPassive - (this.#flushedSince ?? clock);
        this.#flushedSince = undefined;
        break;
      case 'seal-idle':
        if (live.sealIdle(take)) this.#sealed(wal.frames);
        break;
      case 'seal':
        return this.#seal(take);
    }
    return undefined;
  }

  #flush(frames: number): void {
    this.#flushing = true;
    this.#flushedSince ??= performance.now();
    this.#flushes++;
    this.#flushedFrames = frames;
    void this.#live.files.flushWal().finally(() => {
      this.#flushing = false;
    });
  }

  #seal(take: Take): 'pin-moved' | undefined {
    const result = this.#live.seal(take);
    if (result.kind === 'sealed') {
      this.#sealed(result.wal.frames);
      return undefined;
    }
    this.#blockedBy = result.by;
    this.#blockedTries++;
    this.#lastBlocked = performance.now();
    return 'pin-moved';
  }

  /** The index ends here, unless the app goes on without restarting the WAL; until then there is nothing to do. */
  #sealed(frames: number): void {
    this.#sealedFrames = frames;
    this.#blockedBy = undefined;
    this.#blockedTries = 0;
    if (this.#live.files.walSize() >= this.#limits.shrinkAt) this.#live.shrinkWal();
  }
}
