/** Rewrites a WAL with checksums in the byte order of choice. SQLite reads both; it writes its machine's own. */
import type { WalOrder } from '../../replica/wal/checksum.ts';
import {
  encodeFrame,
  encodeWalHeader,
  FRAME_HEADER_SIZE,
  frameSize,
  parseFrameHeader,
  parseWalHeader,
  WAL_HEADER_SIZE,
} from '../../replica/wal/format.ts';

export interface RechainOptions {
  /** Adds one more frame, which is not a commit. */
  readonly unfinished?: boolean;
  /** Salts that replace the WAL's own random ones. */
  readonly salts?: { readonly salt1: number; readonly salt2: number };
}

export function rechain(wal: Buffer, order: WalOrder, options: RechainOptions = {}): Buffer {
  const header = { ...parseWalHeader(wal), ...options.salts, order };
  const start = encodeWalHeader(header);
  const pieces = [start];
  const size = frameSize(header.pageSize);
  let sum = parseWalHeader(start).sum;
  const append = (page: number, commitPages: number, content: Buffer): void => {
    const next = encodeFrame(header, sum, page, commitPages, content);
    pieces.push(next.frame);
    sum = next.sum;
  };
  for (let at = WAL_HEADER_SIZE; at + size <= wal.length; at += size) {
    const { page, commitPages } = parseFrameHeader(wal, at);
    append(page, commitPages, wal.subarray(at + FRAME_HEADER_SIZE, at + size));
  }
  if (options.unfinished === true) {
    const { page } = parseFrameHeader(wal, WAL_HEADER_SIZE);
    append(page, 0, Buffer.alloc(header.pageSize, 0xee));
  }
  return Buffer.concat(pieces);
}
