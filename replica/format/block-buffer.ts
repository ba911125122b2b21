/**
 * Where a block is unpacked and its pages are hashed: both in the memory of one small program (block-program.wat), so that
 * nothing is copied from one to the other. There is one in each thread, for one block at a time.
 */
import { endianness } from 'node:os';
import { newBlockProgram } from './lz4/block-program.ts';
import { BLOCK_SIZE } from './block-size.ts';

/** What WebAssembly counts memory in. */
const MEMORY_PAGE = 64 << 10;
/** Hashes lie first, of as many pages as a block may have; then the block, and behind it what it is unpacked from. */
const RAW = 8 * (BLOCK_SIZE / 512);
/** Copying goes by several bytes at a time, and so past an end. */
const MARGIN = 64;
const HOST_LITTLE = endianness() === 'LE';

const program = newBlockProgram();
let memory = Buffer.from(program.memory.buffer);
// For any block of ours, so that what is taken as a room for one is none the less while it is unpacked: growing moves it.
reserve(RAW + BLOCK_SIZE + MARGIN + longest(BLOCK_SIZE) + MARGIN);

/** Room for so many bytes, at most BLOCK_SIZE; valid, as is all that is in it, until the next block. */
export function blockBuffer(length: number): Buffer {
  return memory.subarray(RAW, RAW + Math.min(length, BLOCK_SIZE));
}

/** Unpacks the data of an LZ4 block of at most `most` raw bytes into the room; undefined where it is none. */
export function unpackLz4(data: Uint8Array, most: number): Buffer | undefined {
  if (data.length > longest(most)) return undefined;
  const at = RAW + most + MARGIN;
  reserve(at + data.length + MARGIN);
  memory.set(data, at);
  const length = program.unpack(at, at + data.length, RAW, RAW + most);
  return length < 0 ? undefined : memory.subarray(RAW, RAW + length);
}

/** The XXH64 of each page in the room, of a size that SQLite knows, seeded with its number; valid until the next block. */
export function hashBlockBuffer(firstPage: number, pageSize: number, count: number): BigUint64Array {
  if (8 * count > RAW) throw new RangeError(`${count} pages are more than a block has`);
  program.hash(RAW, pageSize, count, BigInt(firstPage), 0);
  if (!HOST_LITTLE) memory.subarray(0, 8 * count).swap64();
  return new BigUint64Array(memory.buffer, 0, count);
}

/** No block is longer than its literals, their lengths and one token. */
function longest(raw: number): number {
  return raw + Math.ceil(raw / 255) + 16;
}

function reserve(bytes: number): void {
  if (bytes <= memory.length) return;
  program.memory.grow(Math.ceil((bytes - memory.length) / MEMORY_PAGE));
  memory = Buffer.from(program.memory.buffer);
}
