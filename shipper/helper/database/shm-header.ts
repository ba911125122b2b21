/**
 * The WAL index: the first bytes of SQLite's `-shm` file
 * (https://www.sqlite.org/walformat.html#the_wal_index_file_format). One small read tells how many frames are
 * committed, which salts they have, and how far checkpoints came.
 */
import { readSync } from 'node:fs';
import { type WalOrder, type WalSum, walSum } from '../../../replica/wal/checksum.ts';

const HEADER = 48;
const LENGTH = 136;
const VERSION = 3007000;
const HOST: WalOrder = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 'little' : 'big';
const LITTLE = HOST === 'little';

export interface ShmHeader {
  /** Committed frames in the WAL. */
  readonly frames: number;
  /** Pages of the database after the last of them. */
  readonly pages: number;
  readonly pageSize: number;
  readonly order: WalOrder;
  readonly salt1: number;
  readonly salt2: number;
  /** The chained checksum after the last committed frame. */
  readonly sum: WalSum;
  /** Frames that checkpoints have copied into the database file. */
  readonly backfilled: number;
  /** Frames that the last checkpoint meant to copy: more than `backfilled` while it writes, or if it did not end. */
  readonly attempted: number;
}

/**
 * Reads the header. Undefined while a writer is in the middle of changing it (the two copies differ) or before any
 * connection has set it up; the caller looks again.
 */
export function readShmHeader(fd: number): ShmHeader | undefined {
  const bytes = Buffer.allocUnsafe(LENGTH);
  if (readSync(fd, bytes, 0, LENGTH, 0) < LENGTH) return undefined;
  if (!bytes.subarray(0, HEADER).equals(bytes.subarray(HEADER, 2 * HEADER))) return undefined;
  const u32 = (at: number): number => (LITTLE ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  if (u32(0) !== VERSION || bytes[12] !== 1) return undefined;
  const sum = walSum(HOST, bytes.subarray(0, 40));
  if (sum.s1 !== u32(40) || sum.s2 !== u32(44)) return undefined;
  const size = LITTLE ? bytes.readUInt16LE(14) : bytes.readUInt16BE(14);
  return {
    frames: u32(16),
    pages: u32(20),
    pageSize: (size & 0xfe00) + ((size & 1) << 16),
    order: bytes[13] === 1 ? 'big' : 'little',
    // Salts have the byte order of the WAL file: big-endian.
    salt1: bytes.readUInt32BE(32),
    salt2: bytes.readUInt32BE(36),
    sum: { s1: u32(24), s2: u32(28) },
    backfilled: u32(96),
    attempted: u32(128),
  };
}
