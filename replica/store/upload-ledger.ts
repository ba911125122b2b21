import { assertPart } from './keys.ts';
import type { PartLimits } from './store.ts';

/** The state of one upload. It enforces the order of calls and the limits, in the same way for every backend. */
export class UploadLedger {
  #state: 'open' | 'completed' | 'aborted' = 'open';
  /** The place of each part, from its first attempt on. */
  readonly #places = new Map<number, { readonly at: number; readonly bytes: number }>();
  readonly #written = new Set<number>();
  readonly #inFlight = new Set<Promise<unknown>>();
  readonly #where: string;
  readonly #limits: PartLimits;

  constructor(where: string, limits: PartLimits) {
    this.#where = where;
    this.#limits = limits;
  }

  get state(): 'open' | 'completed' | 'aborted' {
    return this.#state;
  }

  /** Writes one part of `bytes` bytes, which begins at byte `at` of the object, and records it if `write` succeeds. */
  async part(part: number, at: number, bytes: number, write: () => Promise<void>): Promise<void> {
    assertPart(part, at, bytes, this.#limits);
    this.#assertOpen();
    const before = this.#places.get(part) ?? { at, bytes };
    if (before.at !== at || before.bytes !== bytes) {
      throw new RangeError(
        `${this.#where}: part ${part} was ${before.bytes} bytes at byte ${before.at}; it cannot become ${bytes} bytes at byte ${at}`,
      );
    }
    this.#places.set(part, before);
    const running = write();
    this.#inFlight.add(running);
    try {
      await running;
      this.#written.add(part);
    } finally {
      this.#inFlight.delete(running);
    }
  }

  /** The parts to join, ascending, and their size. @throws TypeError or RangeError when they cannot be. */
  toComplete(): { readonly parts: readonly number[]; readonly size: number } {
    this.#assertOpen();
    if (this.#inFlight.size > 0) throw new TypeError(`${this.#where}: completed while parts are still being written`);
    const parts = [...this.#written].sort((a, b) => a - b);
    if (parts.length === 0) throw new TypeError(`${this.#where}: completed without a part`);
    const last = parts.at(-1);
    let size = 0;
    for (const part of parts) {
      const { at, bytes } = this.#places.get(part)!;
      if (at !== size)
        throw new RangeError(
          `${this.#where}: part ${part} begins at byte ${at}, but the parts before it end at byte ${size}`,
        );
      if (bytes < this.#limits.minPart && part !== last) {
        const message = `part ${part} has ${bytes} bytes; all but the last need ${this.#limits.minPart}`;
        throw new RangeError(`${this.#where}: ${message}`);
      }
      size += bytes;
    }
    return { parts, size };
  }

  completed(): void {
    this.#state = 'completed';
  }

  /** Refuses further parts, and waits for those under way. Returns false if there is nothing to drop. */
  async aborting(): Promise<boolean> {
    if (this.#state !== 'open') return false;
    this.#state = 'aborted';
    await Promise.allSettled(this.#inFlight);
    return true;
  }

  #assertOpen(): void {
    if (this.#state !== 'open') throw new TypeError(`${this.#where}: the upload is ${this.#state}`);
  }
}
