/**
 * Looks at a live database again and again. A follower follows its WAL; while there is none (continuity was lost and
 * the store is away), the WAL is kept short all the same. Notices if the files are replaced or changed.
 */
import type { Clock } from '../../clock.ts';
import { ContinuityLost } from '../continuity-lost.ts';
import type { CheckpointLimits } from './checkpoint-policy.ts';
import { Checkpointer } from './checkpointer.ts';
import type { Follower } from './follower.ts';
import type { LiveDatabase } from '../database/live-database.ts';

/** Milliseconds between two comparisons of the database file with itself. */
const STAMP_PAUSE = 1000;

export class WalWatch {
  readonly #live: LiveDatabase;
  readonly #checkpointer: Checkpointer;
  readonly #clock: Clock;
  #stamp: { readonly file: string; readonly wal: string } | undefined;
  #stampedAt = -Infinity;
  /** Frames in the WAL at the last look without a follower. */
  #frames = 0;

  constructor(live: LiveDatabase, limits: CheckpointLimits, clock: Clock) {
    this.#live = live;
    this.#checkpointer = new Checkpointer(live, limits, clock);
    this.#clock = clock;
  }

  /** Throws {@link ContinuityLost}. After `database-replaced` the live database must not be touched any more. */
  look(follower: Follower | undefined): void {
    this.#live.checkPlace();
    this.#checkFile();
    if (follower !== undefined) follower.look();
    else this.#keepShort();
  }

  #keepShort(): void {
    if (this.#live.snapshotHeld) return;
    const wal = this.#live.walIndex();
    if (wal === undefined) return;
    if (wal.frames < this.#frames) this.#checkpointer.restarted();
    this.#frames = wal.frames;
    this.#checkpointer.maintain(wal, 'overdue', {
      advancePin: () => this.#live.advancePin(),
      take: () => undefined,
    });
  }

  /**
   * While everything in the WAL is in the database file, no checkpoint changes that file. If it changes anyway,
   * something else wrote to it (a copy over it, a tool), and its pages are no longer those that were captured.
   */
  #checkFile(): void {
    if (this.#clock.steady() - this.#stampedAt < STAMP_PAUSE) return;
    this.#stampedAt = this.#clock.steady();
    const before = this.#quietWal();
    const file = this.#live.files.stamp();
    const wal = before === this.#quietWal() ? before : undefined;
    const last = this.#stamp;
    this.#stamp = wal === undefined ? undefined : { file, wal };
    if (last === undefined || wal !== last.wal || file === last.file) return;
    throw new ContinuityLost('database-changed', `${this.#live.path} was changed without SQLite, past its WAL`);
  }

  #quietWal(): string | undefined {
    const wal = this.#live.walIndex();
    if (wal === undefined || wal.frames !== wal.backfilled) return undefined;
    return [wal.salt1, wal.salt2, wal.frames].join();
  }
}
