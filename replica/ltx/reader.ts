/**
 * Reads LTX files page by page, with every check that the format allows. Memory is one page and one index entry, whatever
 * a file claims.
 */
import { corrupt, withKey } from '../terms/errors.ts';
import { ByteSource } from '../format/byte-source.ts';
import { lz4DecodeFrame } from '../format/lz4/frame.ts';
import { lz4UnpackBlock } from '../format/lz4/block-decoder.ts';
import type { Store } from '../store/store.ts';
import { formatTxid } from '../terms/target.ts';
import { lockPage } from '../wal/format.ts';
import { Crc64 } from './crc64.ts';
import {
  appendVarint,
  LTX_HEADER_SIZE,
  LTX_INDEX_LENGTH_SIZE,
  LTX_PAGE_BLOCK,
  LTX_PAGE_HEADER_SIZE,
  LTX_TRAILER_SIZE,
  packedBound,
  parseLtxHeader,
  parseLtxTrailer,
  recorded,
  type LtxHeader,
  type LtxTrailer,
} from './format.ts';
import type { LtxRef } from './layout.ts';

export interface LtxPage {
  readonly page: number;
  readonly content: Buffer;
}

/** The header of a file, by one small read. Throws `corrupt` (LTX_IDENTITY) if the file is not the one that its key names. */
export async function readLtxHeader(store: Store, file: LtxRef): Promise<LtxHeader> {
  try {
    const { body } = await store.get(file.key, { offset: 0, length: Math.min(LTX_HEADER_SIZE, file.size) });
    return headerOf(body, file);
  } catch (error) {
    throw withKey(error, file.key);
  }
}

/**
 * The pages of a file, ascending. Checks the order and number of pages, the index against the pages, the file checksum,
 * and that nothing follows the trailer. A fault is thrown where it is found, that of the checksum after the last page, so
 * a caller must make nothing visible before the end. Returns the trailer.
 */
export async function* readLtx(store: Store, file: LtxRef): AsyncGenerator<LtxPage, LtxTrailer> {
  const source = new ByteSource(store.stream(file.key));
  try {
    return yield* decode(source, file);
  } catch (error) {
    throw withKey(error, file.key);
  } finally {
    await source.close();
  }
}

async function* decode(source: ByteSource, file: LtxRef): AsyncGenerator<LtxPage, LtxTrailer> {
  const opening = await source.take(LTX_HEADER_SIZE);
  const header = headerOf(opening, file);
  const sum = new Crc64().update(opening);
  const index = new IndexCheck();
  const follows = new PageOrder(header);
  for (;;) {
    const start = source.position;
    const pageHeader = await source.take(LTX_PAGE_HEADER_SIZE);
    sum.update(pageHeader);
    const page = pageHeader.readUInt32BE(0);
    const flags = pageHeader.readUInt16BE(4);
    if (page === 0 && flags === 0) break;
    follows.take(page);
    let packed: Buffer | undefined;
    if (flags === LTX_PAGE_BLOCK) {
      const size = await source.take(4);
      sum.update(size);
      packed = await source.take(packedSize(size.readUInt32BE(0), header));
    } else if (flags !== 0) throw corrupt('LTX_PAGE', `page ${page} has unknown flags 0x${flags.toString(16)}`);
    const content =
      packed === undefined ? await framed(source, header.pageSize) : lz4UnpackBlock(packed, header.pageSize);
    sum.update(content);
    index.add(page, start, source.position - start);
    yield { page, content };
  }
  follows.end();
  await index.compare(source, sum);
  const end = await source.take(LTX_TRAILER_SIZE);
  const trailer = parseLtxTrailer(end, header);
  const actual = recorded(sum.update(end.subarray(0, 8)).digest());
  if (actual !== trailer.fileChecksum) {
    throw corrupt('LTX_FILE_CHECKSUM', 'the content does not match the file checksum', {
      expected: trailer.fileChecksum.toString(16),
      actual: actual.toString(16),
    });
  }
  if ((await source.peek(1)).length > 0) throw corrupt('LTX_LENGTH', 'bytes follow the trailer');
  return trailer;
}

function headerOf(bytes: Buffer, file: LtxRef): LtxHeader {
  const header = parseLtxHeader(bytes);
  if (header.min !== file.min || header.max !== file.max) {
    const held = `${formatTxid(header.min)} to ${formatTxid(header.max)}`;
    throw corrupt('LTX_IDENTITY', `the file holds the transactions ${held}, not those that its key names`);
  }
  return header;
}

function packedSize(size: number, { pageSize }: LtxHeader): number {
  if (size === 0 || size > packedBound(pageSize)) throw corrupt('LTX_PAGE', `a page packed to ${size} bytes`);
  return size;
}

/** A page of the older format: an LZ4 frame of its own. */
async function framed(source: ByteSource, pageSize: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of lz4DecodeFrame(source)) {
    length += part.length;
    if (length > pageSize) break;
    parts.push(part);
  }
  if (length !== pageSize) throw corrupt('LTX_PAGE', `a page of ${length} bytes, not ${pageSize}`);
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

/** Checks which pages a file holds: ascending ones, and in a snapshot all except the page of SQLite's lock bytes. */
class PageOrder {
  readonly #header: LtxHeader;
  readonly #lock: number;
  #last = 0;

  constructor(header: LtxHeader) {
    this.#header = header;
    this.#lock = lockPage(header.pageSize);
  }

  take(page: number): void {
    const { pages, min } = this.#header;
    if (page <= this.#last || page > pages || page === this.#lock || (min === 1 && page !== this.#next())) {
      throw corrupt('LTX_PAGE', `page ${page} after page ${this.#last} in a database of ${pages} pages`);
    }
    this.#last = page;
  }

  end(): void {
    const { pages, min } = this.#header;
    if (min !== 1 || this.#next() > pages) return;
    throw corrupt('LTX_PAGE', `a snapshot of ${pages} pages that ends after page ${this.#last}`);
  }

  #next(): number {
    return this.#last + 1 === this.#lock ? this.#last + 2 : this.#last + 1;
  }
}

/** The expected index, kept as a length and a CRC. */
class IndexCheck {
  readonly #expected = new Crc64();
  #length = 1;

  add(page: number, offset: number, size: number): void {
    const bytes: number[] = [];
    for (const value of [page, offset, size]) appendVarint(bytes, value);
    this.#expected.update(Uint8Array.from(bytes));
    this.#length += bytes.length;
  }

  async compare(source: ByteSource, sum: Crc64): Promise<void> {
    const actual = new Crc64();
    for (let rest = this.#length; rest > 0;) {
      const bytes = await source.take(Math.min(rest, 65536));
      sum.update(bytes);
      actual.update(bytes);
      rest -= bytes.length;
    }
    const length = await source.take(LTX_INDEX_LENGTH_SIZE);
    sum.update(length);
    const same = this.#expected.update(Uint8Array.of(0)).digest() === actual.digest();
    if (!same || length.readBigUInt64BE(0) !== BigInt(this.#length)) {
      throw corrupt('LTX_INDEX', 'the page index does not match the pages of the file');
    }
  }
}
