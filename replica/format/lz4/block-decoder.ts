/** Unpacks LZ4 blocks, as our snapshots and segments, frames of others and LTX files have them. */
import { corrupt } from '../../terms/errors.ts';
import { unpackLz4 } from '../block-buffer.ts';

/** In a block's size word: its data is the raw bytes. */
export const STORED_RAW = 0x8000_0000;

/**
 * Decodes one stored block that must yield exactly `rawLength` bytes, to the start of `into` where that is given; else
 * what comes may be a part of `stored`. Where `into` is the block room, the room is what comes.
 */
export function lz4DecodeBlock(stored: Buffer, rawLength: number, into?: Buffer): Buffer {
  const word = stored.readUInt32LE(0);
  const size = (word & ~STORED_RAW) >>> 0;
  if (size !== stored.length - 4) {
    throw corrupt('BLOCK_SIZE', `block of ${stored.length - 4} bytes says it has ${size}`, { actual: size });
  }
  return exactly(lz4BlockData(stored.subarray(4), word >= STORED_RAW, rawLength, into), rawLength);
}

/** Decodes the data of a compressed block, without any framing, that must yield exactly `rawLength` bytes. */
export function lz4UnpackBlock(data: Buffer, rawLength: number): Buffer {
  return exactly(lz4BlockData(data, false, rawLength), rawLength);
}

/** What a block's data yields: `mostRaw` bytes or fewer where it is compressed. Throws `corrupt`. */
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
