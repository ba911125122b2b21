/** Writes an LZ4 block, after room for its size word: sequences of literals and a match, then the last literals. */

const ROOM = 4;
const MIN_MATCH = 4;

/** Runs of literals above this are copied as a whole. */
const SHORT_RUN = 32;

let scratch = new Uint8Array(0);

/** Writers share their memory: one must have ended before the next is made. */
export class BlockWriter {
  readonly #raw: Uint8Array;
  readonly #out: Uint8Array;
  #length = ROOM;
  /** Raw bytes before this are written. */
  #written = 0;

  constructor(raw: Uint8Array) {
    // What no match shortens takes one length byte for each 255 literals.
    const most = ROOM + raw.length + Math.ceil(raw.length / 255) + 16;
    if (scratch.length < most) scratch = new Uint8Array(most);
    this.#raw = raw;
    this.#out = scratch;
  }

  /** Where a match that was found at `at` can begin at the earliest. */
  backward(at: number, distance: number): number {
    const raw = this.#raw;
    const least = Math.max(this.#written, distance);
    while (at > least && raw[at - 1] === raw[at - 1 - distance]) at--;
    return at;
  }

  /** The literals before `start`, and a match there. */
  sequence(start: number, distance: number, length: number): void {
    const out = this.#out;
    const more = length - MIN_MATCH;
    this.#literals(start, Math.min(more, 15));
    out[this.#length++] = distance & 255;
    out[this.#length++] = distance >> 8;
    if (more >= 15) this.#extended(more - 15);
    this.#written = start + length;
  }

  /** Room and block, with the literals that are left. */
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
