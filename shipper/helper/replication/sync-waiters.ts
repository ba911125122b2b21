/** Calls of `sync()` that wait, and the place that each waits for. */
import type { Synced } from '../../protocol.ts';

/** A place in what a replicator ships. Each new beginning is a new era. */
export interface Place {
  readonly era: number;
  readonly index: number;
  readonly offset: number;
}

interface Waiter {
  /** Undefined until there is a generation to measure by. */
  place: Place | undefined;
  readonly resolve: (synced: Synced) => void;
  readonly reject: (error: unknown) => void;
}

export class SyncWaiters {
  #waiting: Waiter[] = [];

  /** Resolves once `place` is reached. */
  wait(place: Place | undefined): Promise<Synced> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ place, resolve, reject });
    });
  }

  /** Continuity was lost, so the places are void. */
  unplace(): void {
    for (const waiter of this.#waiting) waiter.place = undefined;
  }

  /** Gives this place to all that have none. */
  placeAll(place: Place | undefined): void {
    for (const waiter of this.#waiting) waiter.place ??= place;
  }

  /** Whether a call has no place yet. */
  get unplaced(): boolean {
    return this.#waiting.some(({ place }) => place === undefined);
  }

  /** Everything up to `place` is in the bucket: answers the calls that waited for that. */
  reached(place: Place, synced: Synced): void {
    const left: Waiter[] = [];
    for (const waiter of this.#waiting) {
      if (waiter.place !== undefined && comparePlaces(place, waiter.place) >= 0) waiter.resolve(synced);
      else left.push(waiter);
    }
    this.#waiting = left;
  }

  rejectAll(error: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

function comparePlaces(a: Place, b: Place): number {
  return a.era - b.era || a.index - b.index || a.offset - b.offset;
}
