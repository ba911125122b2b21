/**
 * XXH64 of single pages and XXH32 of any bytes. Both are ready as soon as the module is loaded, because `require('seawall')`
 * cannot wait: nothing here is compiled asynchronously.
 *
 * Source: xxhash_spec.md of the xxHash project. The inner loops are those of block-program.wat, in memory of their own.
 */
import { isPageSize } from '../wal/format.ts';
import { newBlockProgram } from './lz4/block-program.ts';

const { hash, stripes, memory: area } = newBlockProgram();
/** Offset of the bytes to hash. Before it lie the result (8 bytes) or the sums of XXH32 (16 bytes). */
const DATA = 64;
/** Bytes hashed by one call, at most: the size of the largest page. */
const MOST_AT_ONCE = 64 << 10;
area.grow(1);
const memory = Buffer.from(area.buffer);
const sums = new DataView(area.buffer);

/**
 * XXH64 of one page, seeded with its number (an unsigned 32-bit integer, from 1). `content` is one page of SQLite's.
 *
 * @throws RangeError unless `content` has a page's length: a power of two from 512 to 65536 bytes
 */
export function hashPage(page: number, content: Uint8Array): bigint {
  if (!isPageSize(content.length)) {
    throw new RangeError(`a page has 512 to 65536 bytes, a power of two, not ${content.length}`);
  }
  memory.set(content, DATA);
  hash(DATA, content.length, 1, BigInt(page), 0);
  return sums.getBigUint64(0, true);
}

/** XXH32 of some bytes, as an unsigned 32-bit number. `seed` is one, too; the LZ4 frame format uses 0. */
export function xxh32(bytes: Uint8Array, seed: number): number {
  return new Xxh32(seed).update(bytes).digest();
}

const PRIME_1 = 0x9e3779b1;
const PRIME_2 = 0x85ebca77;
const PRIME_3 = 0xc2b2ae3d;
const PRIME_4 = 0x27d4eb2f;
const PRIME_5 = 0x165667b1;
/** Bytes that XXH32 processes together. */
const STRIPE = 16;

/** XXH32 of bytes that come in pieces. */
export class Xxh32 {
  readonly #seed: number;
  readonly #sums: Int32Array;
  /** The end of the pieces so far that does not fill a stripe. */
  readonly #rest = Buffer.alloc(STRIPE);
  #restLength = 0;
  #length = 0;

  constructor(seed: number) {
    this.#seed = seed | 0;
    this.#sums = Int32Array.of(seed + PRIME_1 + PRIME_2, seed + PRIME_2, seed, seed - PRIME_1);
  }

  /** Adds a piece; returns the same object. */
  update(piece: Uint8Array): this {
    this.#length += piece.length;
    let at = 0;
    if (this.#restLength > 0) {
      at = Math.min(STRIPE - this.#restLength, piece.length);
      this.#rest.set(piece.subarray(0, at), this.#restLength);
      this.#restLength += at;
      if (this.#restLength < STRIPE) return this;
      this.#process(this.#rest);
      this.#restLength = 0;
    }
    while (piece.length - at >= STRIPE) {
      const length = Math.min(piece.length - at, MOST_AT_ONCE) & -STRIPE;
      this.#process(piece.subarray(at, at + length));
      at += length;
    }
    this.#rest.set(piece.subarray(at));
    this.#restLength = piece.length - at;
    return this;
  }

  /** The hash of all pieces so far, as an unsigned 32-bit number. More pieces may follow. */
  digest(): number {
    const [a, b, c, d] = this.#sums as unknown as readonly [number, number, number, number];
    let hash =
      this.#length < STRIPE
        ? (this.#seed + PRIME_5) | 0
        : (rotated(a, 1) + rotated(b, 7) + rotated(c, 12) + rotated(d, 18)) | 0;
    hash = (hash + this.#length) | 0;
    let at = 0;
    for (; at + 4 <= this.#restLength; at += 4) {
      hash = (hash + Math.imul(this.#rest.readInt32LE(at), PRIME_3)) | 0;
      hash = Math.imul(rotated(hash, 17), PRIME_4);
    }
    for (; at < this.#restLength; at++) {
      hash = (hash + Math.imul(this.#rest[at]!, PRIME_5)) | 0;
      hash = Math.imul(rotated(hash, 11), PRIME_1);
    }
    hash = Math.imul(hash ^ (hash >>> 15), PRIME_2);
    hash = Math.imul(hash ^ (hash >>> 13), PRIME_3);
    return (hash ^ (hash >>> 16)) >>> 0;
  }

  /** Processes whole stripes, at most {@link MOST_AT_ONCE} bytes. */
  #process(bytes: Uint8Array): void {
    for (const [i, sum] of this.#sums.entries()) sums.setInt32(4 * i, sum, true);
    memory.set(bytes, DATA);
    stripes(DATA, DATA + bytes.length, 0);
    for (let i = 0; i < 4; i++) this.#sums[i] = sums.getInt32(4 * i, true);
  }
}

function rotated(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
