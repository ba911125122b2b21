/**
 * Skippable frames (LZ4 frame format and zstd alike): magic number, 32-bit length, and bytes that every decoder
 * passes over. Ours carry headers and trailers, so that an object describes itself and stock tools still read it.
 */
import { corrupt } from '../terms/errors.ts';

/** One of the sixteen magic numbers set aside for skippable frames. */
export const SKIPPABLE_MAGIC = 0x184d2a5b;
export const SKIPPABLE_OVERHEAD = 8;
export const MAX_SKIPPABLE = 0xffff_ffff;

export function isSkippableMagic(magic: number): boolean {
  return (magic & 0xffff_fff0) >>> 0 === 0x184d2a50;
}

/** The eight bytes before a payload of `length` bytes. */
export function skippableHead(length: number): Buffer {
  if (length > MAX_SKIPPABLE) throw new RangeError(`a skippable frame holds at most 4 GiB, not ${length} bytes`);
  const head = Buffer.alloc(SKIPPABLE_OVERHEAD);
  head.writeUInt32LE(SKIPPABLE_MAGIC, 0);
  head.writeUInt32LE(length, 4);
  return head;
}

/** Parses the first eight bytes of what must be one of our frames; returns its payload's length. */
export function parseSkippableHead(bytes: Buffer, most: number): number {
  const magic = bytes.readUInt32LE(0);
  if (magic !== SKIPPABLE_MAGIC) {
    throw corrupt('HEADER_MAGIC', `frame magic 0x${magic.toString(16)} where ours must be`, { actual: magic });
  }
  const length = bytes.readUInt32LE(4);
  if (length > most) {
    throw corrupt('HEADER_LENGTH', `claims ${length} bytes where at most ${most} can be`, { actual: length });
  }
  return length;
}
