/**
 * LZ4 frames (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md). The frame is written here around a block codec,
 * because each block must be addressable: it is fetched, checked, decoded and copied by itself.
 *
 * Written: one frame for each object, independent blocks of at most 1 MiB, no block checksums (Litestream's reader
 * miscomputes them), a content checksum on segments. Read: any frame with independent blocks.
 */
import { compress } from 'lz4-wasm-nodejs';
import { corrupt, SeawallError } from '../../terms/errors.ts';
import { BLOCK_SIZE, LZ4_BLOCK_DESCRIPTOR } from '../block-size.ts';
import { ByteSource } from '../byte-source.ts';
import { formerFrames, packFrames, type FrameGrid } from './wal-encoder.ts';
import { lz4BlockData, STORED_RAW } from './block-decoder.ts';
import { Xxh32, xxh32 } from '../xxhash.ts';
import { isSkippableMagic } from '../skippable-frame.ts';

const MAGIC = 0x184d2204;
const FLAG_VERSION = 0x40;
const FLAG_INDEPENDENT = 0x20;
const FLAG_BLOCK_CHECKSUM = 0x10;
const FLAG_CONTENT_SIZE = 0x08;
const FLAG_CONTENT_CHECKSUM = 0x04;
const FLAG_DICTIONARY = 0x01;
const END_MARK = Buffer.alloc(4);

/** The bytes that open a frame. */
export function lz4Prologue(contentChecksum: boolean): Buffer {
  const descriptor = Buffer.from([
    FLAG_VERSION | FLAG_INDEPENDENT | (contentChecksum ? FLAG_CONTENT_CHECKSUM : 0),
    LZ4_BLOCK_DESCRIPTOR,
  ]);
  const bytes = Buffer.alloc(7);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.set(descriptor, 4);
  bytes[6] = headerChecksum(descriptor);
  return bytes;
}

/** The bytes that close a frame, with the XXH32 of all raw bytes if the prologue promised one. */
export function lz4Epilogue(contentChecksum?: number): Buffer {
  if (contentChecksum === undefined) return END_MARK;
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(contentChecksum, 4);
  return bytes;
}

/**
 * One block as stored: its size word and its data, raw if compression saves nothing. If `frames` tells where the WAL frames
 * begin and a page has several versions in the block, it is packed tighter, which takes longer.
 */
export function lz4EncodeBlock(raw: Uint8Array, frames?: FrameGrid): Buffer {
  const former = frames && formerFrames(raw, frames);
  // Both encoders leave 4 bytes for the size word before the block.
  const packed = frames && former ? packFrames(raw, frames, former) : compress(raw);
  const stored = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  if (stored.length - 4 < raw.length) {
    stored.writeUInt32LE(stored.length - 4, 0);
    return stored;
  }
  const bytes = Buffer.allocUnsafe(4 + raw.length);
  bytes.writeUInt32LE((STORED_RAW | raw.length) >>> 0, 0);
  bytes.set(raw, 4);
  return bytes;
}

/** Decodes the LZ4 frame at the start of a stream, and ends the stream. Throws as {@link lz4DecodeFrame} does. */
export async function* lz4DecodeStream(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const source = new ByteSource(stream);
  try {
    yield* lz4DecodeFrame(source);
  } finally {
    await source.close();
  }
}

/**
 * Decodes the next LZ4 frame of `source`, block by block; skippable frames before it are passed over. Verifies the header
 * checksum, and the block and content checksums that the frame has. Throws `corrupt` (LZ4_…, OBJECT_CUT_SHORT) or
 * `unsupported` (LZ4_LINKED).
 */
export async function* lz4DecodeFrame(source: ByteSource): AsyncGenerator<Buffer> {
  let magic = (await source.take(4)).readUInt32LE(0);
  while (isSkippableMagic(magic)) {
    let rest = (await source.take(4)).readUInt32LE(0);
    while (rest > 0) rest -= (await source.take(Math.min(rest, BLOCK_SIZE))).length;
    magic = (await source.take(4)).readUInt32LE(0);
  }
  if (magic !== MAGIC) throw corrupt('LZ4_MAGIC', `not an LZ4 frame: magic 0x${magic.toString(16)}`);

  const first = await source.take(2);
  const flags = first[0]!;
  const blockMaximum = blockMaximumOf(first[1]!);
  if ((flags & 0xc0) !== FLAG_VERSION || (flags & 0x02) !== 0) {
    throw corrupt('LZ4_FLAGS', `unknown LZ4 frame flags 0x${flags.toString(16)}`);
  }
  if ((flags & FLAG_INDEPENDENT) === 0 || (flags & FLAG_DICTIONARY) !== 0) {
    throw new SeawallError(
      'unsupported',
      'LZ4_LINKED',
      'this release does not read LZ4 frames with linked blocks or dictionaries',
    );
  }
  const size = (flags & FLAG_CONTENT_SIZE) === 0 ? Buffer.alloc(0) : await source.take(8);
  const descriptor = Buffer.concat([first, size]);
  if ((await source.take(1))[0] !== headerChecksum(descriptor)) {
    throw corrupt('LZ4_HEADER_CHECKSUM', 'the LZ4 frame header does not match its checksum');
  }

  const digest = (flags & FLAG_CONTENT_CHECKSUM) === 0 ? undefined : new Xxh32(0);
  let total = 0;
  for (;;) {
    const word = (await source.take(4)).readUInt32LE(0);
    if (word === 0) break;
    const length = (word & ~STORED_RAW) >>> 0;
    if (length > blockMaximum)
      throw corrupt('LZ4_BLOCK_SIZE', `a block has ${length} bytes, more than the frame's maximum of ${blockMaximum}`);
    const data = await source.take(length);
    if ((flags & FLAG_BLOCK_CHECKSUM) !== 0 && (await source.take(4)).readUInt32LE(0) !== xxh32(data, 0)) {
      throw corrupt('LZ4_BLOCK_CHECKSUM', 'a block does not match its checksum');
    }
    const raw = lz4BlockData(data, word >= STORED_RAW, blockMaximum);
    digest?.update(raw);
    total += raw.length;
    yield raw;
  }
  if (digest !== undefined && (await source.take(4)).readUInt32LE(0) !== digest.digest()) {
    throw corrupt('LZ4_CONTENT_CHECKSUM', 'the content does not match its checksum');
  }
  if (size.length > 0 && size.readBigUInt64LE(0) !== BigInt(total)) {
    throw corrupt('LZ4_CONTENT_SIZE', `decodes to ${total} bytes, not ${size.readBigUInt64LE(0)}`, { actual: total });
  }
}

function blockMaximumOf(descriptor: number): number {
  const id = (descriptor >> 4) & 7;
  if (id < 4 || (descriptor & 0x8f) !== 0)
    throw corrupt('LZ4_FLAGS', `unknown LZ4 block size 0x${descriptor.toString(16)}`);
  return 1 << (8 + 2 * id);
}

function headerChecksum(descriptor: Buffer): number {
  return (xxh32(descriptor, 0) >>> 8) & 0xff;
}
