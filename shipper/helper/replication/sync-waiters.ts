/** Who waits for `sync()`, and for which place in what is shipped. */
import type { Synced } from '../../protocol.ts';

/** A place in all that a replicator has shipped: each generation it starts is a new era. */
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

  /** The places no longer mean anything: continuity was lost. */
  unplace(): void {
    for (const waiter of this.#waiting) waiter.place = undefined;
  }

  /** Gives those without a place the one up to which everything is committed now. */
  placeAll(place: Place | undefined): void {
    for (const waiter of this.#waiting) waiter.place ??= place;
  }

  /** Whether someone has no place yet. */
  get unplaced(): boolean {
    return this.#waiting.some(({ place }) => place === undefined);
  }

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
