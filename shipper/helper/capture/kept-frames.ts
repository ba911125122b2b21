/**
 * Frames that are read out of the WAL while its index ends, and captured from memory afterwards. The app may be waiting
 * for its lock meanwhile, and reading takes a fraction of the time of checking, hashing and packing.
 */
import { release } from '../../../replica/runtime/release.ts';
import type { ShmHeader } from '../database/shm-header.ts';

/** Bytes of the WAL file; fewer if it ends earlier. */
export type ReadWal = (offset: number, length: number) => Buffer;

/** Where frames are read from; their memory is given back once they are captured. */
export interface WalBytes {
  readonly read: ReadWal;
  readonly letGo: (bytes: Buffer) => void;
}

interface Piece {
  readonly offset: number;
  readonly bytes: Buffer;
}

export class KeptFrames implements WalBytes {
  readonly #readWal: ReadWal;
  #pieces: Piece[] = [];
  #wal: ShmHeader | undefined;

  constructor(readWal: ReadWal) {
    this.#readWal = readWal;
  }

  /** The WAL's header at the last {@link keep}; undefined while nothing is kept. */
  get wal(): ShmHeader | undefined {
    return this.#wal;
  }

  /** Keeps the bytes from `begin` to `end`. Those before `begin` are dropped; those already kept are not read again. */
  keep(wal: ShmHeader, begin: number, end: number): void {
    this.#wal = wal;
    while (this.#pieces[0] !== undefined && endOf(this.#pieces[0]) <= begin) release(this.#pieces.shift()!.bytes);
    const last = this.#pieces.at(-1);
    const from = last === undefined ? begin : endOf(last);
    if (end > from) this.#pieces.push({ offset: from, bytes: this.#readWal(from, end - from) });
  }

  /** Reads as if the WAL file ended with what is kept. Valid until {@link clear}. */
  readonly read: ReadWal = (offset, length) => {
    const parts: Buffer[] = [];
    for (const piece of this.#pieces) {
      const from = Math.max(offset - piece.offset, 0);
      const to = Math.min(offset + length - piece.offset, piece.bytes.length);
      if (from < to) parts.push(piece.bytes.subarray(from, to));
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  };

  /** Does nothing: frames are kept until {@link clear}, because they may be read again. */
  readonly letGo = (): void => undefined;

  clear(): void {
    for (const piece of this.#pieces) release(piece.bytes);
    this.#pieces = [];
    this.#wal = undefined;
  }
}

const endOf = ({ offset, bytes }: Piece): number => offset + bytes.length;
