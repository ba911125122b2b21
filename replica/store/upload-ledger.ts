import { assertPart } from './keys.ts';
import type { PartLimits } from './store.ts';

/** What an upload's caller has done so far: holds it to the order of calls and to the limits, alike in every backend. */
export class UploadLedger {
  #state: 'open' | 'completed' | 'aborted' = 'open';
  /** Where each part stands, from its first attempt on, and which are written. */
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

  /** Runs the writing of one part, which is to stand at byte `at`, and books it when it succeeded. */
  async part(part: number, at: number, bytes: number, write: () => Promise<void>): Promise<void> {
    assertPart(part, at, bytes, this.#limits);
    this.#assertOpen();
    const before = this.#places.get(part) ?? { at, bytes };
    if (before.at !== at || before.bytes !== bytes) {
      throw new RangeError(
        `${this.#where}: part ${part} was ${before.bytes} bytes at ${before.at}, and is to be ${bytes} at ${at}`,
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
      if (at !== size) throw new RangeError(`${this.#where}: part ${part} is for byte ${at}, and stands at ${size}`);
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

  /** Refuses further parts and waits until none is under way. False when there is nothing to drop. */
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
