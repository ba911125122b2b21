/**
 * Looks at a live database again and again. A follower follows its WAL; while there is none (continuity was lost and
 * the store is away), the WAL is kept short all the same. Notices if the files are replaced or changed.
 */
import type { Clock } from '../../clock.ts';
import type { CheckpointLimits } from './checkpoint-policy.ts';
import { Checkpointer } from './checkpointer.ts';
import type { Follower } from './follower.ts';
import type { LiveDatabase } from '../database/live-database.ts';

export class WalWatch {
  readonly #live: LiveDatabase;
  readonly #checkpointer: Checkpointer;
  /** Frames in the WAL at the last look without a follower. */
  #frames = 0;

  constructor(live: LiveDatabase, limits: CheckpointLimits, clock: Clock) {
    this.#live = live;
    this.#checkpointer = new Checkpointer(live, limits, clock);
  }

  /** Throws {@link ContinuityLost}. */
  look(follower: Follower | undefined): void {
    this.#live.checkPlace();
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
}
