/**
 * SQLite's write-ahead log, byte for byte (https://www.sqlite.org/fileformat2.html#the_write_ahead_log).
 *
 * A WAL file is a 32-byte header and frames; a frame is a 24-byte header and one page. A frame is valid if and only
 * if its salts equal the header's and its checksum continues the chain from the header through every frame before it.
 * A transaction is in the database if and only if its commit frame (size field not 0) is valid. All integers are
 * big-endian, whatever the byte order of the checksums.
 */
import { corrupt } from '../terms/errors.ts';
import { walSum, type WalOrder, type WalSum } from './checksum.ts';

export const WAL_HEADER_SIZE = 32;
export const FRAME_HEADER_SIZE = 24;

const MAGIC_LITTLE = 0x377f0682;
const MAGIC_BIG = 0x377f0683;
const WAL_VERSION = 3007000;

export interface WalHeader {
  readonly order: WalOrder;
  /** Bytes, a power of two from 512 to 65536. */
  readonly pageSize: number;
  /** Counts restarts of the WAL file. */
  readonly sequence: number;
  readonly salt1: number;
  readonly salt2: number;
  /** Where the first frame's checksum continues from. */
  readonly sum: WalSum;
}

export interface FrameHeader {
  /** Page number, from 1. */
  readonly page: number;
  /** Pages of the database after this commit; 0 if the frame is not a commit. */
  readonly commitPages: number;
  readonly salt1: number;
  readonly salt2: number;
  readonly sum: WalSum;
}

/** Whether a number is a page size of SQLite's: a power of two from 512 to 65536 bytes. */
export function isPageSize(value: number): boolean {
  return value >= 512 && value <= 65536 && (value & (value - 1)) === 0;
}

/** The page that holds the lock bytes at 1 GiB; SQLite never writes it, to the file or to the WAL. */
export function lockPage(pageSize: number): number {
  return 0x4000_0000 / pageSize + 1;
}

/** Bytes of a frame: its header and one page. */
export function frameSize(pageSize: number): number {
  return FRAME_HEADER_SIZE + pageSize;
}

/** The byte at which the frame after `frames` frames begins. */
export function offsetAfter(frames: number, pageSize: number): number {
  return WAL_HEADER_SIZE + frames * frameSize(pageSize);
}

/** Whether a byte offset is 0, or lies on a frame boundary. */
export function isFrameBoundary(offset: number, pageSize: number): boolean {
  return offset === 0 || (offset >= WAL_HEADER_SIZE && (offset - WAL_HEADER_SIZE) % frameSize(pageSize) === 0);
}

/** Parses and checks a WAL header. Throws `corrupt` with a WAL_HEADER_… code. */
export function parseWalHeader(bytes: Buffer): WalHeader {
  if (bytes.length < WAL_HEADER_SIZE) {
    throw corrupt('WAL_HEADER_SHORT', `a WAL header is ${WAL_HEADER_SIZE} bytes, found ${bytes.length}`);
  }
  const magic = bytes.readUInt32BE(0);
  if (magic !== MAGIC_LITTLE && magic !== MAGIC_BIG) {
    throw corrupt('WAL_HEADER_MAGIC', `not a WAL: magic number 0x${magic.toString(16)}`, { actual: magic });
  }
  const version = bytes.readUInt32BE(4);
  if (version !== WAL_VERSION) {
    throw corrupt('WAL_HEADER_VERSION', `the WAL has version ${version}; only ${WAL_VERSION} is known`, {
      actual: version,
    });
  }
  const pageSize = bytes.readUInt32BE(8);
  if (!isPageSize(pageSize)) {
    throw corrupt('WAL_HEADER_PAGE_SIZE', `impossible page size ${pageSize}`, { actual: pageSize });
  }
  const order: WalOrder = magic === MAGIC_BIG ? 'big' : 'little';
  const sum = { s1: bytes.readUInt32BE(24), s2: bytes.readUInt32BE(28) };
  const actual = walSum(order, bytes.subarray(0, 24));
  if (actual.s1 !== sum.s1 || actual.s2 !== sum.s2) {
    throw corrupt('WAL_HEADER_CHECKSUM', 'the WAL header does not match its checksum');
  }
  return {
    order,
    pageSize,
    sequence: bytes.readUInt32BE(12),
    salt1: bytes.readUInt32BE(16),
    salt2: bytes.readUInt32BE(20),
    sum,
  };
}

/** Builds the 32 bytes of a WAL header. */
export function encodeWalHeader(fields: Omit<WalHeader, 'sum'>): Buffer {
  const bytes = Buffer.alloc(WAL_HEADER_SIZE);
  bytes.writeUInt32BE(fields.order === 'big' ? MAGIC_BIG : MAGIC_LITTLE, 0);
  bytes.writeUInt32BE(WAL_VERSION, 4);
  bytes.writeUInt32BE(fields.pageSize, 8);
  bytes.writeUInt32BE(fields.sequence >>> 0, 12);
  bytes.writeUInt32BE(fields.salt1 >>> 0, 16);
  bytes.writeUInt32BE(fields.salt2 >>> 0, 20);
  const sum = walSum(fields.order, bytes.subarray(0, 24));
  bytes.writeUInt32BE(sum.s1, 24);
  bytes.writeUInt32BE(sum.s2, 28);
  return bytes;
}

/** The header of the frame that begins at byte `at`, unchecked; see {@link frameFault}. */
export function parseFrameHeader(bytes: Buffer, at = 0): FrameHeader {
  return {
    page: bytes.readUInt32BE(at),
    commitPages: bytes.readUInt32BE(at + 4),
    salt1: bytes.readUInt32BE(at + 8),
    salt2: bytes.readUInt32BE(at + 12),
    sum: { s1: bytes.readUInt32BE(at + 16), s2: bytes.readUInt32BE(at + 20) },
  };
}

/**
 * Checks one frame against the chain. `frame` is its header and its page; `sum` is the checksum of the frame before
 * (for the first frame, the header's). Returns why the frame is not valid, or undefined if it is.
 */
export function frameFault(
  wal: Pick<WalHeader, 'order' | 'salt1' | 'salt2'>,
  sum: WalSum,
  frame: Buffer,
  header: FrameHeader,
): 'salt' | 'checksum' | 'page-number' | undefined {
  if (header.salt1 !== wal.salt1 || header.salt2 !== wal.salt2) return 'salt';
  if (header.page === 0) return 'page-number';
  const actual = frameSum(wal.order, sum, frame);
  return actual.s1 === header.sum.s1 && actual.s2 === header.sum.s2 ? undefined : 'checksum';
}

/** The chain's checksum after `frame`, continued from `sum`. */
function frameSum(order: WalOrder, sum: WalSum, frame: Buffer): WalSum {
  return walSum(order, frame.subarray(FRAME_HEADER_SIZE), walSum(order, frame.subarray(0, 8), sum));
}

/** Builds one frame that continues the chain from `sum`. */
export function encodeFrame(
  wal: Pick<WalHeader, 'order' | 'salt1' | 'salt2'>,
  sum: WalSum,
  page: number,
  commitPages: number,
  content: Uint8Array,
): { readonly frame: Buffer; readonly sum: WalSum } {
  const frame = Buffer.alloc(FRAME_HEADER_SIZE + content.length);
  frame.writeUInt32BE(page, 0);
  frame.writeUInt32BE(commitPages, 4);
  frame.writeUInt32BE(wal.salt1, 8);
  frame.writeUInt32BE(wal.salt2, 12);
  frame.set(content, FRAME_HEADER_SIZE);
  const next = frameSum(wal.order, sum, frame);
  frame.writeUInt32BE(next.s1, 16);
  frame.writeUInt32BE(next.s2, 20);
  return { frame, sum: next };
}
