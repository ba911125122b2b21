/** What was promised: which commits were said to be in the replica, and since when. */
import { comparePlaces, type Place } from './content.ts';

export interface Promised extends Place {
  /** When it was said, milliseconds since 1970. */
  readonly at: number;
}

export class Promises {
  /** Ascending in place and in time. */
  readonly #made: Promised[] = [];

  note(place: Place, at: number): void {
    const last = this.#made.at(-1);
    if (last !== undefined && comparePlaces(place, last) <= 0) return;
    this.#made.push({ ...place, at: Math.max(at, last?.at ?? 0) });
  }

  get last(): Promised | undefined {
    return this.#made.at(-1);
  }

  /** The furthest place that was promised by `time`. */
  by(time: number): Promised | undefined {
    return this.#made.findLast(({ at }) => at <= time);
  }

  get all(): readonly Promised[] {
    return this.#made;
  }
}
