/**
 * The buffer in which a block is unpacked and its pages are hashed. It lies in the memory of one small WebAssembly program
 * (block-program.wat) that does both, so nothing is copied between the two steps. Each thread has one buffer, for one block
 * at a time.
 */
import { endianness } from 'node:os';
import { newBlockProgram } from './lz4/block-program.ts';
import { BLOCK_SIZE } from './block-size.ts';

/** Bytes of a WebAssembly memory page, the unit in which memory grows. */
const MEMORY_PAGE = 64 << 10;
/** Offset of the raw block. Before it lie the page hashes, 8 bytes for each of the most pages of a block; after it the packed bytes. */
const RAW = 8 * (BLOCK_SIZE / 512);
/** Bytes between the regions: the program copies several bytes at a time, which may run past an end. */
const MARGIN = 64;
const HOST_LITTLE = endianness() === 'LE';

const program = newBlockProgram();
let memory = Buffer.from(program.memory.buffer);
// Enough for any block that Seawall writes. Growth moves the memory, so a buffer from blockBuffer() must not outlive one.
reserve(RAW + BLOCK_SIZE + MARGIN + longest(BLOCK_SIZE) + MARGIN);

/** The first `length` bytes of the buffer, at most BLOCK_SIZE. The buffer and its content are valid until the next block. */
export function blockBuffer(length: number): Buffer {
  return memory.subarray(RAW, RAW + Math.min(length, BLOCK_SIZE));
}

/**
 * Unpacks the data of an LZ4 block, without its size word, into the buffer. Returns the raw bytes, valid until the next
 * block; undefined if `data` is not a block of at most `most` raw bytes.
 */
export function unpackLz4(data: Uint8Array, most: number): Buffer | undefined {
  if (data.length > longest(most)) return undefined;
  const at = RAW + most + MARGIN;
  reserve(at + data.length + MARGIN);
  memory.set(data, at);
  const length = program.unpack(at, at + data.length, RAW, RAW + most);
  return length < 0 ? undefined : memory.subarray(RAW, RAW + length);
}

/**
 * The XXH64 of each of the first `count` pages in the buffer, seeded with its page number. `pageSize` is one of SQLite's.
 * The result is valid until the next block.
 *
 * @throws RangeError if a block cannot hold so many pages
 */
export function hashBlockBuffer(firstPage: number, pageSize: number, count: number): BigUint64Array {
  if (8 * count > RAW) throw new RangeError(`a block holds at most ${RAW / 8} pages, not ${count}`);
  program.hash(RAW, pageSize, count, BigInt(firstPage), 0);
  if (!HOST_LITTLE) memory.subarray(0, 8 * count).swap64();
  return new BigUint64Array(memory.buffer, 0, count);
}

/** Bytes of the longest LZ4 block of `raw` raw bytes: only literals, with their length bytes and one token. */
function longest(raw: number): number {
  return raw + Math.ceil(raw / 255) + 16;
}

function reserve(bytes: number): void {
  if (bytes <= memory.length) return;
  program.memory.grow(Math.ceil((bytes - memory.length) / MEMORY_PAGE));
  memory = Buffer.from(program.memory.buffer);
}
