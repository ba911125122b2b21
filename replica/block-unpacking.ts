/** What is done to each block of a snapshot on its way into a file: CRC, decoding, a hash for each page. */
import { crc32 } from 'node:zlib';
import { corrupt } from './errors.ts';
import { codec as codecNamed } from './format/codec.ts';
import { hashPage } from './format/page-hashes.ts';
import type { CodecName } from './layout.ts';

/** One block as it was fetched, and what the trailer says of it. */
export interface PackedBlock {
  readonly codec: CodecName;
  readonly block: number;
  readonly stored: Uint8Array;
  readonly crc: number;
  /** Bytes it decodes to, whole pages. */
  readonly rawLength: number;
  readonly pageSize: number;
  readonly firstPage: number;
}

export interface UnpackedBlock {
  readonly raw: Uint8Array;
  /** One for each page. */
  readonly hashes: BigUint64Array;
}

/** Throws `corrupt`. */
export function unpackBlock(packed: PackedBlock): UnpackedBlock {
  const { codec, block, crc, rawLength, pageSize, firstPage } = packed;
  const { buffer, byteOffset, byteLength } = packed.stored;
  const stored = Buffer.from(buffer, byteOffset, byteLength);
  if (crc32(stored) !== crc) throw corrupt('SNAPSHOT_BLOCK_CRC', `block ${block} does not match its CRC`);
  const raw = codecNamed(codec).decodeBlock(stored, rawLength);
  const hashes = new BigUint64Array(rawLength / pageSize);
  for (let i = 0; i < hashes.length; i++) {
    hashes[i] = hashPage(firstPage + i, raw.subarray(i * pageSize, (i + 1) * pageSize));
  }
  return { raw, hashes };
}

/** Gives memory back at once, where waiting for the garbage collector would let it pile up. Nothing may use it any more. */
export function free(bytes: Uint8Array): void {
  (bytes.buffer as ArrayBuffer).transfer(0);
}
