/** Decodes LZ4 blocks: those of Seawall's segments and snapshots, of other programs' LZ4 frames, and of LTX files. */
import { corrupt } from '../../terms/errors.ts';
import { unpackLz4 } from '../block-buffer.ts';

/** Bit of a block's size word: the data is stored raw. */
export const STORED_RAW = 0x8000_0000;

/**
 * Decodes one stored block (size word and data). Throws `corrupt` unless it decodes to exactly `rawLength` bytes. If `into`
 * is given, the result is its start, also if that is the block buffer; if not, the result may be a part of `stored`.
 */
export function lz4DecodeBlock(stored: Buffer, rawLength: number, into?: Buffer): Buffer {
  const word = stored.readUInt32LE(0);
  const size = (word & ~STORED_RAW) >>> 0;
  if (size !== stored.length - 4) {
    throw corrupt('BLOCK_SIZE', `block of ${stored.length - 4} bytes says it has ${size}`, { actual: size });
  }
  return exactly(lz4BlockData(stored.subarray(4), word >= STORED_RAW, rawLength, into), rawLength);
}

/** Decodes the data of a compressed block, without a size word. Throws `corrupt` unless it decodes to exactly `rawLength` bytes. */
export function lz4UnpackBlock(data: Buffer, rawLength: number): Buffer {
  return exactly(lz4BlockData(data, false, rawLength), rawLength);
}

/**
 * Decodes a block's data. A compressed block decodes to at most `mostRaw` bytes, or throws `corrupt` (LZ4_BLOCK); a raw one
 * is returned whatever its length. The result is the start of `into` if it fits there.
 */
export function lz4BlockData(data: Buffer, storedRaw: boolean, mostRaw: number, into?: Buffer): Buffer {
  if (storedRaw) {
    if (into === undefined || data.length > mostRaw) return data;
    return into.subarray(0, data.copy(into));
  }
  const raw = unpackLz4(data, mostRaw);
  if (raw === undefined) throw corrupt('LZ4_BLOCK', 'a block cannot be decoded');
  if (into === undefined) return Buffer.from(raw);
  return into.buffer === raw.buffer ? raw : into.subarray(0, raw.copy(into));
}

function exactly(raw: Buffer, rawLength: number): Buffer {
  if (raw.length !== rawLength) {
    throw corrupt('BLOCK_LENGTH', `block decodes to ${raw.length} bytes, not ${rawLength}`, {
      expected: rawLength,
      actual: raw.length,
    });
  }
  return raw;
}
