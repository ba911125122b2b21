/**
 * Skippable frames, which are the same in LZ4 and zstd: a magic number, a 32-bit length, and bytes that every decoder
 * passes over. Seawall puts headers and trailers into them, so an object describes itself and stock tools still read it.
 */
import { corrupt } from '../terms/errors.ts';

/** One of the sixteen magic numbers set aside for skippable frames. */
export const SKIPPABLE_MAGIC = 0x184d2a5b;
export const SKIPPABLE_OVERHEAD = 8;
export const MAX_SKIPPABLE = 0xffff_ffff;

/** Whether a frame's magic number is one of the sixteen of skippable frames. */
export function isSkippableMagic(magic: number): boolean {
  return (magic & 0xffff_fff0) >>> 0 === 0x184d2a50;
}

/** The eight bytes before a payload of `length` bytes. @throws RangeError above 4 GiB */
export function skippableHead(length: number): Buffer {
  if (length > MAX_SKIPPABLE) throw new RangeError(`a skippable frame holds at most 4 GiB, not ${length} bytes`);
  const head = Buffer.alloc(SKIPPABLE_OVERHEAD);
  head.writeUInt32LE(SKIPPABLE_MAGIC, 0);
  head.writeUInt32LE(length, 4);
  return head;
}

/** Parses the first eight bytes of one of Seawall's frames. Returns its payload's length, at most `most`; throws `corrupt`. */
export function parseSkippableHead(bytes: Buffer, most: number): number {
  const magic = bytes.readUInt32LE(0);
  if (magic !== SKIPPABLE_MAGIC) {
    throw corrupt('HEADER_MAGIC', `frame magic 0x${magic.toString(16)} is not that of Seawall's frames`, {
      actual: magic,
    });
  }
  const length = bytes.readUInt32LE(4);
  if (length > most) {
    throw corrupt('HEADER_LENGTH', `the frame claims ${length} bytes; at most ${most} are possible`, {
      actual: length,
    });
  }
  return length;
}
