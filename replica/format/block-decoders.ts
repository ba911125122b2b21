/** The decoders of both codecs, without the encoders: the threads of a restore load only these, and so start sooner. */
import * as zlib from 'node:zlib';
import { corrupt } from '../terms/errors.ts';
import type { CodecName } from '../terms/layout.ts';
import { lz4DecodeBlock } from './lz4/block-decoder.ts';

/**
 * Decodes one stored block. Throws `corrupt` unless it decodes to exactly `rawLength` bytes. If `into` is given, the result
 * is its start (fresh memory costs as much as decoding); if not, the result may be a part of `stored`.
 */
export type DecodeBlock = (stored: Buffer, rawLength: number, into?: Buffer) => Buffer;

/** The block decoder of a codec. */
export function decoderOf(codec: CodecName): DecodeBlock {
  return codec === 'lz4' ? lz4DecodeBlock : decodeZstdBlock;
}

/** Decodes one zstd frame; see {@link DecodeBlock}. */
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
