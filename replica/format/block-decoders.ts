/** Decoding alone, of either codec: what threads of a restore load, who start sooner without the encoders. */
import * as zlib from 'node:zlib';
import { corrupt } from '../terms/errors.ts';
import type { CodecName } from '../terms/layout.ts';
import { lz4DecodeBlock } from './lz4/block-decoder.ts';

/**
 * Throws `corrupt` unless the block decodes to exactly `rawLength` bytes. They are put to the start of `into` where that
 * is given, for fresh memory costs as much as decoding; else they may be a part of `stored`.
 */
export type DecodeBlock = (stored: Buffer, rawLength: number, into?: Buffer) => Buffer;

export function decoderOf(codec: CodecName): DecodeBlock {
  return codec === 'lz4' ? lz4DecodeBlock : decodeZstdBlock;
}

export const decodeZstdBlock: DecodeBlock = (stored, rawLength, into) => {
  let raw: Buffer;
  try {
    raw = zlib.zstdDecompressSync(stored, { maxOutputLength: rawLength });
  } catch (error) {
    throw corrupt('ZSTD_BLOCK', `a block cannot be decoded: ${String(error)}`, {}, error);
  }
  if (raw.length !== rawLength) {
    throw corrupt('BLOCK_LENGTH', `block decodes to ${raw.length} bytes, not ${rawLength}`, {
      expected: rawLength,
      actual: raw.length,
    });
  }
  return into === undefined ? raw : into.subarray(0, raw.copy(into));
};
