/** Calls of `sync()` that wait, and the place that each waits for. */
import type { Synced } from '../../protocol.ts';

/** A place in what a replicator ships. Each new beginning is a new era. */
export interface Place {
  readonly era: number;
  readonly index: number;
  readonly offset: number;
}

interface Waiter {
  /** Ascending, in the order of the calls. */
  readonly number: number;
  /** Undefined until there is a generation to measure by. */
  place: Place | undefined;
  readonly resolve: (synced: Synced) => void;
  readonly reject: (error: unknown) => void;
}

export class SyncWaiters {
  #waiting: Waiter[] = [];
  #asked = 0;

  /** Resolves once `place` is reached. */
  wait(place: Place | undefined): Promise<Synced> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ number: ++this.#asked, place, resolve, reject });
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

  /** How many have called by now. */
  get asked(): number {
    return this.#asked;
  }

  /** Whether someone waits for nothing but the answer, since everything up to `place` is in the bucket. */
  dueAt(place: Place): boolean {
    return this.#waiting.some((waiter) => isReached(waiter, place));
  }

  /** Answers those of the first `asked` callers whose place is reached. */
  reached(place: Place, synced: Synced, asked: number): void {
    const left: Waiter[] = [];
    for (const waiter of this.#waiting) {
      if (waiter.number <= asked && isReached(waiter, place)) waiter.resolve(synced);
      else left.push(waiter);
    }
    this.#waiting = left;
  }

  rejectAll(error: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

function isReached(waiter: Waiter, place: Place): boolean {
  return waiter.place !== undefined && comparePlaces(place, waiter.place) >= 0;
}

function comparePlaces(a: Place, b: Place): number {
  return a.era - b.era || a.index - b.index || a.offset - b.offset;
}
