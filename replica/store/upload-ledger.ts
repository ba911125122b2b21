import { assertPart } from './keys.ts';
import type { PartLimits } from './store.ts';

/** What an upload's caller has done so far: holds it to the order of calls and to the limits, alike in every backend. */
export class UploadLedger {
  #state: 'open' | 'completed' | 'aborted' = 'open';
  readonly #sizes = new Map<number, number>();
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

  /** Runs the writing of one part and books it when it succeeded. */
  async part(part: number, bytes: number, write: () => Promise<void>): Promise<void> {
    assertPart(part, bytes, this.#limits);
    this.#assertOpen();
    const running = write();
    this.#inFlight.add(running);
    try {
      await running;
      this.#sizes.set(part, bytes);
    } finally {
      this.#inFlight.delete(running);
    }
  }

  /** The parts to join, ascending. @throws TypeError or RangeError when they cannot be. */
  toComplete(): number[] {
    this.#assertOpen();
    if (this.#inFlight.size > 0) throw new TypeError(`${this.#where}: completed while parts are still being written`);
    const parts = [...this.#sizes.keys()].sort((a, b) => a - b);
    if (parts.length === 0) throw new TypeError(`${this.#where}: completed without a part`);
    for (const part of parts.slice(0, -1)) {
      const bytes = this.#sizes.get(part) ?? 0;
      if (bytes >= this.#limits.minPart) continue;
      throw new RangeError(
        `${this.#where}: part ${part} has ${bytes} bytes; all but the last need ${this.#limits.minPart}`,
      );
    }
    return parts;
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
