/**
 * Answers `sync()` and `durable()`. A call waits for the end of what was committed before it, and is answered once that
 * is in the bucket and the replica stands.
 */
import type { Synced } from '../../protocol.ts';
import type { LostReplica, SegmentShipping } from '../upload/segment-shipping.ts';
import type { Continuity } from './continuity.ts';
import type { FollowedDatabase } from './followed-database.ts';
import type { Shipped } from './shipped.ts';
import { SyncWaiters, type Place } from './sync-waiters.ts';

interface Parts {
  readonly database: FollowedDatabase;
  readonly continuity: Continuity;
  readonly shipping: SegmentShipping;
  readonly shipped: Shipped;
}

export class SyncAnswers {
  readonly #parts: Parts;
  readonly #waiters = new SyncWaiters();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Resolves once everything committed before the call may be answered for. */
  wait(): Promise<Synced> {
    return this.#waiters.wait(this.#committed());
  }

  /** Whoever waits without a place gets that of everything committed now, which is returned. */
  placeAll(): Place | undefined {
    const committed = this.#committed();
    this.#waiters.placeAll(committed);
    return committed;
  }

  /** Continuity was lost: who waits gets a new place later. */
  unplace(): void {
    this.#waiters.unplace();
  }

  /** Whether a call has no place yet. */
  get unplaced(): boolean {
    return this.#waiters.unplaced;
  }

  /** Whether someone waits for an answer alone: what was committed is in the bucket. */
  get due(): boolean {
    const { end } = this.#parts.shipped;
    return end !== undefined && this.#waiters.dueAt(end);
  }

  /** Answers those whose commits are in the bucket. If the replica is lost, answers nobody, and returns why. */
  async give(signal: AbortSignal): Promise<LostReplica | undefined> {
    const { shipped, shipping } = this.#parts;
    const { end } = shipped;
    const synced = shipped.synced();
    if (end === undefined || synced === undefined || !this.#waiters.dueAt(end)) return undefined;
    const { asked } = this.#waiters;
    const lost = await shipping.confirm(signal);
    if (lost === undefined) this.#waiters.reached(end, synced, asked);
    return lost;
  }

  rejectAll(error: unknown): void {
    this.#waiters.rejectAll(error);
  }

  /** The end of everything committed by now; undefined while there is no generation to measure by. */
  #committed(): Place | undefined {
    const committed = this.#parts.database.committed();
    return committed && { era: this.#parts.continuity.era, ...committed };
  }
}
