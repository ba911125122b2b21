/** Writes LTX files by the published format, for tests of the reader. */
import { compress } from 'lz4-wasm-nodejs';
import { Crc64 } from '../../replica/ltx/crc64.ts';
import { appendVarint } from '../../replica/ltx/format.ts';
import { frame } from './lz4-frame.ts';

export interface LtxFileFacts {
  readonly pageSize: number;
  /** Pages of the database afterwards. */
  readonly pages: number;
  readonly min: number;
  readonly max: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** Pages as LZ4 frames, as the first releases wrote them, instead of blocks. */
  readonly framed?: boolean;
  /** Database checksums before and after; none are recorded unless given. */
  readonly checksums?: { readonly before: bigint; readonly after: bigint };
}

const FLAG = 1n << 63n;

/** Path of a file in a folder replica of Litestream. */
export function ltxKey(level: number, min: number, max: number): string {
  const hex = (txid: number): string => txid.toString(16).padStart(16, '0');
  return `ltx/${level}/${hex(min)}-${hex(max)}.ltx`;
}

/** @param content the pages in the file, by number */
export function ltxFile(facts: LtxFileFacts, content: ReadonlyMap<number, Buffer>): Buffer {
  const header = Buffer.alloc(100);
  header.write('LTX1', 0, 'latin1');
  header.writeUInt32BE(facts.checksums === undefined ? 2 : 0, 4);
  header.writeUInt32BE(facts.pageSize, 8);
  header.writeUInt32BE(facts.pages, 12);
  header.writeBigUInt64BE(BigInt(facts.min), 16);
  header.writeBigUInt64BE(BigInt(facts.max), 24);
  header.writeBigInt64BE(BigInt(facts.time), 32);
  header.writeBigUInt64BE(facts.checksums?.before ?? 0n, 40);
  const stored: Buffer[] = [header];
  const sum = new Crc64().update(header);
  const index: number[] = [];
  let at = header.length;
  for (const [page, raw] of [...content].sort(([a], [b]) => a - b)) {
    const head = Buffer.alloc(facts.framed === true ? 6 : 10);
    head.writeUInt32BE(page, 0);
    let packed: Buffer;
    if (facts.framed === true) packed = frame(raw, { blockId: 4, contentChecksum: true });
    else {
      packed = Buffer.from(compress(raw).subarray(4));
      head.writeUInt16BE(1, 4);
      head.writeUInt32BE(packed.length, 6);
    }
    stored.push(head, packed);
    sum.update(head).update(raw);
    for (const value of [page, at, head.length + packed.length]) appendVarint(index, value);
    at += head.length + packed.length;
  }
  index.push(0);
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(index.length));
  const end = Buffer.concat([Buffer.alloc(6), Buffer.from(index), length]);
  const trailer = Buffer.alloc(16);
  trailer.writeBigUInt64BE(facts.checksums?.after ?? 0n, 0);
  sum.update(end).update(trailer.subarray(0, 8));
  trailer.writeBigUInt64BE(sum.digest() | FLAG, 8);
  return Buffer.concat([...stored, end, trailer]);
}

/** The database checksum of LTX over the pages of a whole database. */
export function ltxChecksum(pages: ReadonlyMap<number, Buffer>, lock: number): bigint {
  let sum = FLAG;
  for (const [page, raw] of pages) {
    if (page === lock) continue;
    const number = Buffer.alloc(4);
    number.writeUInt32BE(page);
    sum = (sum ^ new Crc64().update(number).update(raw).digest()) | FLAG;
  }
  return sum;
}
