/** Large replicas, made straight from pages without SQLite: a snapshot, and WAL that changes some of its pages. */
import { crc32 } from 'node:zlib';
import { codec as codecNamed } from '../../replica/format/codec.ts';
import { BLOCK_SIZE } from '../../replica/format/block-size.ts';
import { hashPage } from '../../replica/format/xxhash.ts';
import { encodeSegment } from '../../replica/format/segment.ts';
import type { DatabaseState } from '../../replica/terms/database-state.ts';
import { segmentKey } from '../../replica/terms/layout.ts';
import { writeSnapshot } from '../../replica/objects/snapshot-writer.ts';
import type { Store } from '../../replica/store/store.ts';
import { encodeFrame, encodeWalHeader, lockPage } from '../../replica/wal/format.ts';
import { Seeded } from './seeded.ts';

export interface LargeOptions {
  readonly pages: number;
  readonly pageSize?: number;
  /** Which pages the WAL changes, in order; one commit for each segment. */
  readonly segments: readonly (readonly number[])[];
  /** Segments in one index. */
  readonly perIndex?: number;
  /** Share of each page that does not compress. */
  readonly noise?: number;
  /** Page 1, if other programs must accept the result as a database; it must not be among the changed pages. */
  readonly firstPage?: Buffer;
}

export interface LargeReplica {
  readonly generation: string;
  readonly pageSize: number;
  readonly state: DatabaseState;
  /** The final content of a page. */
  page(page: number): Buffer;
}

const GENERATION = '5eaa11bada7aba5e';
const TIME = Date.UTC(2026, 4, 1);

export async function writeLargeReplica(store: Store, options: LargeOptions): Promise<LargeReplica> {
  const { pages, pageSize = 4096, segments, perIndex = 4, noise = 0.5 } = options;
  const body = bodyMaker(pageSize, noise, options.firstPage);
  const facts = { generation: GENERATION, index: 0, pageSize, pages, time: TIME, checksum: undefined, reason: 'start' };
  async function* blocks(): AsyncGenerator<Buffer> {
    for (let first = 1; first <= pages; first += BLOCK_SIZE / pageSize) {
      const count = Math.min(BLOCK_SIZE / pageSize, pages - first + 1);
      yield Buffer.concat(Array.from({ length: count }, (_, i) => body(first + i, 0)));
    }
  }
  const codec = codecNamed('lz4');
  let { checksum } = await writeSnapshot(store, facts, codec, blocks());
  let before: DatabaseState = { pages, checksum, time: TIME };

  const versions = new Map<number, number>();
  let offset = 0;
  let sum = { s1: 0, s2: 0 };
  let wal = { order: 'little' as const, pageSize, sequence: 0, salt1: 0, salt2: 7 };
  for (const [i, changed] of segments.entries()) {
    const index = Math.floor(i / perIndex);
    const parts: Buffer[] = [];
    if (i % perIndex === 0) {
      wal = { ...wal, sequence: index, salt1: index + 1 };
      const header = encodeWalHeader(wal);
      sum = { s1: header.readUInt32BE(24), s2: header.readUInt32BE(28) };
      parts.push(header);
      offset = 0;
    }
    for (const [j, page] of changed.entries()) {
      const version = versions.get(page) ?? 0;
      const content = body(page, version + 1);
      if (page !== lockPage(pageSize)) checksum ^= hashPage(page, body(page, version)) ^ hashPage(page, content);
      versions.set(page, version + 1);
      const made = encodeFrame(wal, sum, page, j === changed.length - 1 ? pages : 0, content);
      ({ sum } = made);
      parts.push(made.frame);
    }
    const raw = Buffer.concat(parts);
    const after = { pages, checksum, time: TIME + (i + 1) * 1000 };
    const marks = [{ ...after, offset: offset + raw.length, restorable: true }];
    const header = { generation: GENERATION, index, offset, pageSize, rawLength: raw.length, before, marks };
    const key = segmentKey(GENERATION, index, offset, 'lz4');
    await store.put(key, encodeSegment({ ...header, endsOnCommit: true }, raw, codec));
    offset += raw.length;
    before = after;
  }
  return { generation: GENERATION, pageSize, state: before, page: (page) => body(page, versions.get(page) ?? 0) };
}

/** Pages whose content follows from their number and version; page 1 begins as a database does. */
function bodyMaker(
  pageSize: number,
  noise: number,
  firstPage: Buffer | undefined,
): (page: number, version: number) => Buffer {
  const random = new Seeded(1);
  const pool = random.noise(BLOCK_SIZE);
  const text = random.text(pageSize);
  const noisy = Math.floor(pageSize * noise);
  return (page, version) => {
    if (page === 1 && firstPage !== undefined) return firstPage;
    const bytes = Buffer.from(text);
    const from = crc32(`${page} ${version}`) % (BLOCK_SIZE - noisy);
    pool.copy(bytes, pageSize - noisy, from, from + noisy);
    bytes.writeUInt32LE(page, 100);
    bytes.writeUInt32LE(version, 104);
    if (page === 1) {
      bytes.write('SQLite format 3\0', 0, 'latin1');
      bytes.writeUInt16BE(pageSize === 65536 ? 1 : pageSize, 16);
    }
    return bytes;
  };
}
