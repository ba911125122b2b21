/** Writes an LZ4 block behind 4 bytes for its size word: sequences of literals and a match, then the last literals. */

/** Bytes of a block's size word, which the caller fills in. */
const SIZE_WORD = 4;
const MIN_MATCH = 4;

/** Bytes up to which a run of literals is copied byte by byte; longer runs are copied by one call. */
const SHORT_RUN = 32;

let scratch = new Uint8Array(0);

/** Writers share one buffer: `end()` must be called before the next writer is made. */
export class BlockWriter {
  readonly #raw: Uint8Array;
  readonly #out: Uint8Array;
  #length = SIZE_WORD;
  /** Raw bytes before this are written. */
  #written = 0;

  constructor(raw: Uint8Array) {
    // Without a match, each 255 literals take one length byte.
    const most = SIZE_WORD + raw.length + Math.ceil(raw.length / 255) + 16;
    if (scratch.length < most) scratch = new Uint8Array(most);
    this.#raw = raw;
    this.#out = scratch;
  }

  /** The earliest byte at which the match found at `at` can begin: it is extended backward over equal bytes. */
  backward(at: number, distance: number): number {
    const raw = this.#raw;
    const least = Math.max(this.#written, distance);
    while (at > least && raw[at - 1] === raw[at - 1 - distance]) at--;
    return at;
  }

  /** Writes the literals before `start`, and a match of `length` bytes there that repeats those `distance` bytes before. */
  sequence(start: number, distance: number, length: number): void {
    const out = this.#out;
    const more = length - MIN_MATCH;
    this.#literals(start, Math.min(more, 15));
    out[this.#length++] = distance & 255;
    out[this.#length++] = distance >> 8;
    if (more >= 15) this.#extended(more - 15);
    this.#written = start + length;
  }

  /** Writes the remaining literals. Returns a copy of the block, with 4 bytes for the size word before it. */
  end(): Uint8Array {
    this.#literals(this.#raw.length, 0);
    return this.#out.slice(0, this.#length);
  }

  #literals(to: number, matchCode: number): void {
    const raw = this.#raw;
    const out = this.#out;
    const from = this.#written;
    const run = to - from;
    out[this.#length++] = (Math.min(run, 15) << 4) | matchCode;
    if (run >= 15) this.#extended(run - 15);
    let at = this.#length;
    if (run > SHORT_RUN) {
      out.set(raw.subarray(from, to), at);
      at += run;
    } else {
      for (let i = from; i < to; i++) out[at++] = raw[i]!;
    }
    this.#length = at;
  }

  #extended(rest: number): void {
    for (; rest >= 255; rest -= 255) this.#out[this.#length++] = 255;
    this.#out[this.#length++] = rest;
  }
}
