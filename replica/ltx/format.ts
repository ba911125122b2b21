/**
 * LTX files, byte for byte (https://github.com/superfly/ltx, format 3, which Litestream 0.5 writes). A file holds the
 * pages that a run of transactions changed, each once, with the content after the last of them:
 *
 *     header       100 bytes
 *     pages        page number 4, flags 2, then with flag bit 0: size 4 and an LZ4 block; without it: an LZ4 frame
 *     end of pages 6 zero bytes
 *     page index   for each page its number, offset and size as varints; a zero varint; the index's length 8
 *     trailer      database checksum 8, file checksum 8
 *
 * All integers are big-endian. The file checksum is a CRC-64/ISO over everything before it, with page contents as they
 * are after unpacking. A file that begins at transaction 1 holds the whole database: a snapshot.
 */
import { corrupt, SeawallError } from '../terms/errors.ts';
import { isPageSize } from '../wal/format.ts';
import { Crc64 } from './crc64.ts';

export const LTX_HEADER_SIZE = 100;
export const LTX_TRAILER_SIZE = 16;
export const LTX_INDEX_LENGTH_SIZE = 8;
/** Each page's own header. */
export const LTX_PAGE_HEADER_SIZE = 6;
/** Page flag: a size follows, and the content is an LZ4 block. */
export const LTX_PAGE_BLOCK = 1;

const MAGIC = 'LTX1';
const FLAG_NO_DATABASE_CHECKSUM = 2;
const CHECKSUM_FLAG = 1n << 63n;
const RESERVED = 80;

export interface LtxHeader {
  readonly pageSize: number;
  /** Pages of the database after the last transaction. */
  readonly pages: number;
  /** The transactions in it, both included, counted from 1. */
  readonly min: number;
  readonly max: number;
  /** When it was captured, milliseconds since 1970, by the clock of the machine that wrote it. */
  readonly time: number;
  /** Whether database checksums are recorded; Litestream 0.5 records none. */
  readonly tracksChecksum: boolean;
  /** The database checksum before the file is applied; 0 for snapshots, and if none is recorded. */
  readonly before: bigint;
}

export interface LtxTrailer {
  /** The database checksum after the file is applied; 0 if none is recorded. */
  readonly after: bigint;
  readonly fileChecksum: bigint;
}

/** Parses and checks a header. Throws `corrupt` (LTX_HEADER) or `unsupported` (LTX_VERSION, LTX_TXID). */
export function parseLtxHeader(bytes: Buffer): LtxHeader {
  if (bytes.length < LTX_HEADER_SIZE) {
    throw corrupt('OBJECT_CUT_SHORT', `an LTX header is ${LTX_HEADER_SIZE} bytes, found ${bytes.length}`);
  }
  const magic = bytes.toString('latin1', 0, 4);
  const flags = bytes.readUInt32BE(4);
  if (magic.startsWith('LTX') && magic !== MAGIC) throw unknown('LTX_VERSION', `LTX format ${JSON.stringify(magic)}`);
  if (magic !== MAGIC) throw corrupt('LTX_HEADER', 'the object does not begin like an LTX file');
  if ((flags & ~FLAG_NO_DATABASE_CHECKSUM) !== 0) throw unknown('LTX_VERSION', `LTX flags 0x${flags.toString(16)}`);
  if (bytes.subarray(RESERVED, LTX_HEADER_SIZE).some((byte) => byte !== 0)) {
    throw unknown('LTX_VERSION', 'an LTX header with fields this release does not know');
  }
  const header = {
    pageSize: bytes.readUInt32BE(8),
    pages: bytes.readUInt32BE(12),
    min: txidAt(bytes, 16),
    max: txidAt(bytes, 24),
    time: Number(bytes.readBigInt64BE(32)),
    tracksChecksum: flags === 0,
    before: bytes.readBigUInt64BE(40),
  };
  const fault = faultIn(header);
  if (fault !== undefined) throw corrupt('LTX_HEADER', fault);
  return header;
}

function faultIn({ pageSize, min, max, time, tracksChecksum, before }: LtxHeader): string | undefined {
  if (!isPageSize(pageSize)) return `impossible page size ${pageSize}`;
  if (min < 1 || min > max) return `impossible transactions ${min} to ${max}`;
  if (!Number.isSafeInteger(time) || time < 0) return `impossible time ${time}`;
  const expected = tracksChecksum && min > 1 ? CHECKSUM_FLAG : 0n;
  if ((before & CHECKSUM_FLAG) !== expected || (expected === 0n && before !== 0n)) {
    return `impossible database checksum before it`;
  }
  return undefined;
}

/** Parses the last 16 bytes. Throws `corrupt` (LTX_TRAILER). */
export function parseLtxTrailer(bytes: Buffer, header: Pick<LtxHeader, 'tracksChecksum'>): LtxTrailer {
  const after = bytes.readBigUInt64BE(0);
  const fileChecksum = bytes.readBigUInt64BE(8);
  const expected = header.tracksChecksum ? CHECKSUM_FLAG : 0n;
  if ((after & CHECKSUM_FLAG) !== expected || (expected === 0n && after !== 0n)) {
    throw corrupt('LTX_TRAILER', 'impossible database checksum after it');
  }
  if ((fileChecksum & CHECKSUM_FLAG) === 0n) throw corrupt('LTX_TRAILER', 'impossible file checksum');
  return { after, fileChecksum };
}

/** A CRC as LTX records it: its highest bit is always set, so no recorded CRC is 0. */
export function recorded(crc: bigint): bigint {
  return crc | CHECKSUM_FLAG;
}

/** The database checksum with one more page: an XOR of the pages' CRCs, each over the page's number and content. */
export function checksumStep(sum: bigint, page: number, content: Uint8Array): bigint {
  const number = Buffer.alloc(4);
  number.writeUInt32BE(page);
  return recorded(sum ^ new Crc64().update(number).update(content).digest());
}

/** The most bytes that an LZ4 block of one page has. */
export function packedBound(pageSize: number): number {
  return pageSize + Math.ceil(pageSize / 255) + 16;
}

/** Appends an unsigned varint (base 128, low bits first). */
export function appendVarint(bytes: number[], value: number): void {
  while (value >= 0x80) {
    bytes.push((value % 0x80) | 0x80);
    value = Math.floor(value / 0x80);
  }
  bytes.push(value);
}

function txidAt(bytes: Buffer, at: number): number {
  const txid = bytes.readBigUInt64BE(at);
  if (txid > BigInt(Number.MAX_SAFE_INTEGER)) throw unknown('LTX_TXID', `transaction number ${txid}`);
  return Number(txid);
}

function unknown(code: string, what: string): SeawallError {
  return new SeawallError('unsupported', code, `${what} is not known to this release`);
}
