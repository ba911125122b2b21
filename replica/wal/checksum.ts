/**
 * The checksum of SQLite's WAL (https://www.sqlite.org/fileformat2.html#walcksm): two 32-bit sums over pairs of
 * 32-bit words, in the byte order the WAL header's magic number names, each frame continuing from the one before.
 */
export interface WalSum {
  /** Unsigned 32-bit. */
  readonly s1: number;
  readonly s2: number;
}

export type WalOrder = 'big' | 'little';

const ZERO_SUM: WalSum = { s1: 0, s2: 0 };

const HOST_LITTLE = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** Continues `sum` over `bytes`, whose length is a multiple of 8. */
export function walSum(order: WalOrder, bytes: Uint8Array, sum: WalSum = ZERO_SUM): WalSum {
  if (bytes.length % 8 !== 0) throw new RangeError(`a WAL checksum covers multiples of 8 bytes, not ${bytes.length}`);
  let s1 = sum.s1 | 0;
  let s2 = sum.s2 | 0;
  if ((order === 'little') === HOST_LITTLE && bytes.byteOffset % 4 === 0) {
    const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
    for (let i = 0; i < words.length; i += 2) {
      s1 = (s1 + words[i]! + s2) | 0;
      s2 = (s2 + words[i + 1]! + s1) | 0;
    }
  } else {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const little = order === 'little';
    for (let i = 0; i < bytes.length; i += 8) {
      s1 = (s1 + view.getInt32(i, little) + s2) | 0;
      s2 = (s2 + view.getInt32(i + 4, little) + s1) | 0;
    }
  }
  return { s1: s1 >>> 0, s2: s2 >>> 0 };
}
