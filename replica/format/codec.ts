/**
 * The two ways content is compressed. Both give blocks that are encoded, checked, decoded and copied alone; an object
 * is prologue, blocks, epilogue, which any stock tool for the codec decodes as a whole.
 *
 * - `lz4`: one LZ4 frame; the default, since Litestream restores it. The library is WebAssembly: the same file on every
 *   platform and in Lambda, and faster here than the native binding (285 against 165 MB/s).
 * - `zstd`: one zstd frame per block; smaller, at about the same speed. Prologue and epilogue are empty.
 */
import * as zlib from 'node:zlib';
import { corrupt, SeawallError } from '../terms/errors.ts';
import type { CodecName } from '../terms/layout.ts';
import { decodeZstdBlock, type DecodeBlock } from './block-decoders.ts';
import { lz4EncodeBlock, lz4Epilogue, lz4Prologue } from './lz4/frame.ts';
import type { FrameGrid } from './lz4/wal-encoder.ts';
import { lz4DecodeBlock } from './lz4/block-decoder.ts';

export interface Codec {
  readonly name: CodecName;
  /** The bytes before the first block. `contentChecksum`: whether the epilogue ends with a checksum of all raw bytes. */
  prologue(contentChecksum: boolean): Buffer;
  /** The bytes after the last block. `contentChecksum`: XXH32 of all raw bytes, given if and only if the prologue promised it. */
  epilogue(contentChecksum?: number): Buffer;
  /** One block as stored. `frames`: `raw` holds WAL frames at these places; the encoder takes longer and packs them tighter. */
  encodeBlock(raw: Uint8Array, frames?: FrameGrid): Buffer;
  /** Stored bytes of the block that begins at `at`. Throws `corrupt` if it runs past the end of `bytes`. */
  blockLength(bytes: Buffer, at: number): number;
  readonly decodeBlock: DecodeBlock;
}

/** The fastest level. On SQLite pages it packs better than LZ4, at about the same speed. */
export const DEFAULT_ZSTD_LEVEL = 1;
export const ZSTD_LEVELS = { least: 1, most: 19 } as const;

const ZSTD_MAGIC = 0xfd2fb528;

const LZ4: Codec = {
  name: 'lz4',
  prologue: lz4Prologue,
  epilogue: lz4Epilogue,
  encodeBlock: lz4EncodeBlock,
  blockLength: (bytes, at) => within(bytes, at, 4, () => 4 + (bytes.readUInt32LE(at) & 0x7fff_ffff)),
  decodeBlock: lz4DecodeBlock,
};

/**
 * The codec of that name. `level` is zstd's, one of {@link ZSTD_LEVELS}; LZ4 ignores it. Throws `unsupported`
 * (ZSTD_UNAVAILABLE) if this Node.js has no zstd.
 */
export function codec(name: CodecName, level: number = DEFAULT_ZSTD_LEVEL): Codec {
  if (name === 'lz4') return LZ4;
  if (typeof zlib.zstdCompressSync !== 'function') {
    throw new SeawallError('unsupported', 'ZSTD_UNAVAILABLE', 'zstd needs Node.js 22.15 or newer; use lz4, or upgrade');
  }
  return {
    name: 'zstd',
    prologue: () => Buffer.alloc(0),
    epilogue: () => Buffer.alloc(0),
    encodeBlock: (raw) =>
      zlib.zstdCompressSync(raw, {
        params: {
          [zlib.constants.ZSTD_c_compressionLevel]: level,
          [zlib.constants.ZSTD_c_checksumFlag]: 1,
        },
      }),
    blockLength: zstdFrameLength,
    decodeBlock: decodeZstdBlock,
  };
}

/** Length of the zstd frame at `at`, by walking its blocks (RFC 8878, section 3.1.1). */
function zstdFrameLength(bytes: Buffer, at: number): number {
  return within(bytes, at, 5, () => {
    if (bytes.readUInt32LE(at) !== ZSTD_MAGIC) throw corrupt('ZSTD_MAGIC', 'not a zstd frame');
    const descriptor = bytes[at + 4]!;
    const single = (descriptor >> 5) & 1;
    const contentSize = [single, 2, 4, 8][descriptor >> 6]!;
    const dictionary = [0, 1, 2, 4][descriptor & 3]!;
    let length = 5 + (1 - single) + dictionary + contentSize;
    for (let last = false; !last;) {
      if (at + length + 3 > bytes.length) throw corrupt('OBJECT_CUT_SHORT', 'a zstd frame runs past the end');
      const word = bytes.readUIntLE(at + length, 3);
      last = (word & 1) === 1;
      length += 3 + (((word >> 1) & 3) === 1 ? 1 : word >> 3);
    }
    return length + ((descriptor & 4) === 0 ? 0 : 4);
  });
}

function within(bytes: Buffer, at: number, head: number, length: () => number): number {
  if (at + head > bytes.length) throw corrupt('OBJECT_CUT_SHORT', 'a block is missing');
  const found = length();
  if (at + found > bytes.length) throw corrupt('OBJECT_CUT_SHORT', 'a block runs past the end');
  return found;
}
