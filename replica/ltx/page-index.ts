/** The index at the end of an LTX file: where each page lies in it. It takes sixteen bytes of memory for each page. */
import { corrupt, withKey } from '../terms/errors.ts';
import { lz4DecodeFrame } from '../format/lz4/frame.ts';
import { lz4UnpackBlock } from '../format/lz4/block-decoder.ts';
import { ByteSource, once } from '../format/byte-source.ts';
import type { Store } from '../store/store.ts';
import {
  LTX_HEADER_SIZE,
  LTX_INDEX_LENGTH_SIZE,
  LTX_PAGE_BLOCK,
  LTX_PAGE_HEADER_SIZE,
  LTX_TRAILER_SIZE,
  packedBound,
  type LtxHeader,
} from './format.ts';
import type { LtxRef } from './layout.ts';

const TAIL = LTX_INDEX_LENGTH_SIZE + LTX_TRAILER_SIZE;
/** Bytes of the first read, from the end: enough for the index of a few thousand pages. */
const PROBE = 32 << 10;
/** Bytes around a packed page, at most: its header, its size, and in older files the LZ4 frame. */
const AROUND = 64;

export class LtxPageIndex {
  readonly #pages: Uint32Array;
  readonly #offsets: Float64Array;
  readonly #sizes: Uint32Array;

  private constructor(pages: Uint32Array, offsets: Float64Array, sizes: Uint32Array) {
    this.#pages = pages;
    this.#offsets = offsets;
    this.#sizes = sizes;
  }

  /** Reads and checks the index. Throws `corrupt` (LTX_INDEX). */
  static async read(store: Store, file: LtxRef, header: LtxHeader): Promise<LtxPageIndex> {
    try {
      const { body, size } = await store.get(file.key, { suffix: PROBE });
      if (size < LTX_HEADER_SIZE + LTX_PAGE_HEADER_SIZE + 1 + TAIL) throw corrupt('OBJECT_CUT_SHORT', 'too short');
      const length = body.readBigUInt64BE(body.length - TAIL);
      const start = size - TAIL - Number(length);
      if (length < 1n || start < LTX_HEADER_SIZE + LTX_PAGE_HEADER_SIZE) {
        throw corrupt('LTX_INDEX', `a page index of ${length} bytes in a file of ${size}`);
      }
      const from = size - body.length;
      const bytes =
        start >= from
          ? body.subarray(start - from, body.length - TAIL)
          : (await store.get(file.key, { offset: start, length: Number(length) })).body;
      return LtxPageIndex.#parse(bytes, start - LTX_PAGE_HEADER_SIZE, header);
    } catch (error) {
      throw withKey(error, file.key);
    }
  }

  /** @param end where the pages end in the file */
  static #parse(bytes: Buffer, end: number, { pages, pageSize }: LtxHeader): LtxPageIndex {
    // An entry has at least three bytes.
    const most = Math.floor(bytes.length / 3);
    const numbers = new Uint32Array(most);
    const offsets = new Float64Array(most);
    const sizes = new Uint32Array(most);
    const varints = new Varints(bytes);
    let count = 0;
    let expected = LTX_HEADER_SIZE;
    for (let last = 0; ; count++) {
      const page = varints.next();
      if (page === 0) break;
      const offset = varints.next();
      const size = varints.next();
      const fits = size > LTX_PAGE_HEADER_SIZE && size <= packedBound(pageSize) + AROUND && offset + size <= end;
      if (page <= last || page > pages || offset !== expected || !fits) {
        throw corrupt('LTX_INDEX', `the page index has page ${page} at byte ${offset} with ${size} bytes`);
      }
      numbers[count] = last = page;
      offsets[count] = offset;
      sizes[count] = size;
      expected = offset + size;
    }
    if (!varints.atEnd || expected !== end) throw corrupt('LTX_INDEX', 'the page index does not cover the pages');
    return new LtxPageIndex(numbers.slice(0, count), offsets.slice(0, count), sizes.slice(0, count));
  }

  /** Where a page is in the file; undefined if the file does not hold it. */
  find(page: number): { readonly offset: number; readonly length: number } | undefined {
    let low = 0;
    for (let high = this.#pages.length; low < high;) {
      const middle = (low + high) >> 1;
      if (this.#pages[middle]! < page) low = middle + 1;
      else high = middle;
    }
    return this.#pages[low] === page ? { offset: this.#offsets[low]!, length: this.#sizes[low]! } : undefined;
  }
}

/** The content of one page as stored in a file. Only its number and its packing can be checked. Throws `corrupt`. */
export async function unpackLtxPage(stored: Buffer, page: number, pageSize: number): Promise<Buffer> {
  const flags = stored.readUInt16BE(4);
  if (stored.readUInt32BE(0) !== page)
    throw corrupt('LTX_INDEX', `page ${page} is not at the place that the index names`);
  const data = stored.subarray(LTX_PAGE_HEADER_SIZE);
  if (flags === LTX_PAGE_BLOCK) {
    if (data.length < 5 || data.readUInt32BE(0) !== data.length - 4) throw corrupt('LTX_PAGE', `page ${page}'s size`);
    return lz4UnpackBlock(data.subarray(4), pageSize);
  }
  if (flags !== 0) throw corrupt('LTX_PAGE', `page ${page} has unknown flags 0x${flags.toString(16)}`);
  const parts: Buffer[] = [];
  for await (const part of lz4DecodeFrame(new ByteSource(once(data)))) parts.push(part);
  const content = Buffer.concat(parts);
  if (content.length !== pageSize) throw corrupt('LTX_PAGE', `page ${page} has ${content.length} bytes`);
  return content;
}

class Varints {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  next(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined || scale > 2 ** 49) throw corrupt('LTX_INDEX', 'the page index cannot be read');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }
}
