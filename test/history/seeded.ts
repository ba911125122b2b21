/** Random choices that are the same for the same seed, and the rerun line that a failing test prints. */

const POOL_SIZE = 1 << 20;

export class Seeded {
  readonly seed: number;
  #state: number;
  #pool: Buffer | undefined;

  constructor(seed: number) {
    this.seed = seed >>> 0;
    this.#state = (seed ^ 0x9e3779b9) >>> 0;
    for (let i = 0; i < 4; i++) this.next();
  }

  /** In [0, 1). */
  next(): number {
    return this.#word() / 2 ** 32;
  }

  /** A whole number from 0 to `below` − 1. */
  int(below: number): number {
    return Math.floor(this.next() * below);
  }

  /** A whole number from `least` to `most`. */
  range(least: number, most: number): number {
    return least + this.int(most - least + 1);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)]!;
  }

  /** A choice among weighted alternatives. */
  weighted<T>(choices: readonly (readonly [weight: number, item: T])[]): T {
    let at = this.next() * choices.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, item] of choices) if ((at -= weight) < 0) return item;
    return choices.at(-1)![1];
  }

  hex(digits: number): string {
    let text = '';
    while (text.length < digits) text += this.#word().toString(16).padStart(8, '0');
    return text.slice(0, digits);
  }

  /** Bytes that hardly compress, cut out of a pool (cheap for large lengths; they repeat after 1 MiB). */
  noise(length: number): Buffer {
    if (this.#pool === undefined) {
      this.#pool = Buffer.alloc(POOL_SIZE);
      for (let at = 0; at < POOL_SIZE; at += 4) this.#pool.writeUInt32LE(this.#word(), at);
    }
    const bytes = Buffer.allocUnsafe(length);
    let from = this.int(POOL_SIZE);
    for (let at = 0; at < length; from = 0) at += this.#pool.copy(bytes, at, from, from + length - at);
    return bytes;
  }

  /** Bytes that compress well. */
  text(length: number): Buffer {
    return Buffer.alloc(length, `row ${this.hex(6)} of the sea wall. `);
  }

  #word(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }
}

/** Seeds to run: only `SEED` if it is set, otherwise `RUNS` (or `runs`) of them from a fixed start. */
export function seeds(runs: number, start = 1): number[] {
  const { SEED, RUNS } = process.env;
  if (SEED !== undefined) return [Number(SEED)];
  return Array.from({ length: RUNS === undefined ? runs : Number(RUNS) }, (_, i) => start + i);
}

/** Runs `body`; on failure adds the line that runs this case again. */
export async function rerunnable<T>(seed: number, file: string, body: () => T | Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    const line = `rerun: SEED=${seed} node --test ${file}`;
    process.stderr.write(`${line}\n`);
    if (error instanceof Error) error.message += `\n${line}`;
    throw error;
  }
}
