/** LZ4 frames as other writers make them. */
import { compress } from 'lz4-wasm-nodejs';
import { xxh32 } from '../../replica/format/xxhash.ts';
import { SKIPPABLE_MAGIC } from '../../replica/format/skippable-frame.ts';

export interface FrameOptions {
  readonly blockChecksum?: boolean;
  readonly contentChecksum?: boolean;
  readonly contentSize?: boolean;
  readonly linked?: boolean;
  readonly dictionary?: boolean;
  /** 4: 64 KiB, 5: 256 KiB, 6: 1 MiB, 7: 4 MiB. */
  readonly blockId?: 4 | 5 | 6 | 7;
  readonly skippable?: number;
}

/** An LZ4 frame as other writers make them. */
export function frame(raw: Buffer, options: FrameOptions = {}): Buffer {
  const { blockId = 7 } = options;
  const flags =
    0x40 |
    (options.linked === true ? 0 : 0x20) |
    (options.blockChecksum === true ? 0x10 : 0) |
    (options.contentSize === true ? 0x08 : 0) |
    (options.contentChecksum === true ? 0x04 : 0) |
    (options.dictionary === true ? 0x01 : 0);
  const size = Buffer.alloc(options.contentSize === true ? 8 : 0);
  if (size.length > 0) size.writeBigUInt64LE(BigInt(raw.length));
  const dictionary = Buffer.alloc(options.dictionary === true ? 4 : 0);
  const descriptor = Buffer.concat([Buffer.from([flags, blockId << 4]), size, dictionary]);
  const pieces = [word(0x184d2204), descriptor, Buffer.from([(xxh32(descriptor, 0) >>> 8) & 0xff])];
  for (let i = 0; i < (options.skippable ?? 0); i++)
    pieces.unshift(word(SKIPPABLE_MAGIC - i), word(i * 7), Buffer.alloc(i * 7));
  const most = 1 << (8 + 2 * blockId);
  for (let at = 0; at < raw.length; at += most) {
    const block = raw.subarray(at, at + most);
    const packed = Buffer.from(compress(block)).subarray(4);
    const [data, mark] = packed.length < block.length ? [packed, 0] : [block, 0x8000_0000];
    pieces.push(word((data.length | mark) >>> 0), data);
    if (options.blockChecksum === true) pieces.push(word(xxh32(data, 0)));
  }
  pieces.push(word(0));
  if (options.contentChecksum === true) pieces.push(word(xxh32(raw, 0)));
  return Buffer.concat(pieces);
}

export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}
