/**
 * The difference: pages in which the database differs from the end of its replica, as one transaction that continues
 * the replica's last WAL index. Stock SQLite replays it like any other.
 *
 * It begins exactly where another shipper would write next, so of two shippers that continue one replica only one can
 * create that key, and the other learns that it lost. For the same reason it is never empty: where no page differs,
 * page 1 is written once more.
 */
import { randomBytes } from 'node:crypto';
import type { Codec } from '../../replica/format/codec.ts';
import { hashPage, type PageHashes } from '../../replica/format/page-hashes.ts';
import { encodeSegment, type DatabaseState, type Mark } from '../../replica/format/segment.ts';
import { segmentKey } from '../../replica/layout.ts';
import type { ReplicaEnd } from '../../replica/replica-end.ts';
import { encodeFrame, encodeWalHeader, frameSize, lockPage, parseWalHeader } from '../../replica/wal/format.ts';
import type { CapturedSegment } from './capture.ts';
import { fileBlocks } from './generation-start.ts';
import type { LiveDatabase } from './live-database.ts';

/** Pages that differ, ascending. Reads the whole database file, which a held snapshot keeps still. */
export async function differingPages(
  live: LiveDatabase,
  pages: number,
  expected: PageHashes,
  signal: AbortSignal,
  progressed: () => void,
): Promise<number[]> {
  const differing: number[] = [];
  const lock = lockPage(live.pageSize);
  let page = 0;
  for await (const block of fileBlocks(live, pages, signal, progressed)) {
    for (let at = 0; at < block.length; at += live.pageSize) {
      page++;
      if (page === lock) continue;
      const same =
        page <= expected.pages && hashPage(page, block.subarray(at, at + live.pageSize)) === expected.get(page);
      if (!same) differing.push(page);
    }
  }
  return differing;
}

/**
 * The transaction in segments, from the end of the replica on. Changes `end.hashes` along with it. Only the end of the
 * last segment is a restore point.
 */
export function* differenceSegments(
  live: LiveDatabase,
  end: ReplicaEnd,
  differing: readonly number[],
  after: { readonly pages: number; readonly time: number },
  limits: { readonly segmentSize: number; readonly codec: Codec },
): Generator<CapturedSegment> {
  const { pageSize } = live;
  const pages = differing.length === 0 ? [1] : differing;
  const perSegment = Math.max(Math.floor(limits.segmentSize / frameSize(pageSize)), 1);
  const salts = randomBytes(8);
  const opening =
    end.wal === undefined
      ? encodeWalHeader({
          order: 'little',
          pageSize,
          sequence: 0,
          salt1: salts.readUInt32BE(0),
          salt2: salts.readUInt32BE(4),
        })
      : Buffer.alloc(0);
  const wal = end.wal ?? parseWalHeader(opening);
  let sum = end.wal === undefined ? wal.sum : end.sum;
  let offset = end.offset;
  for (let from = 0; from < pages.length; from += perSegment) {
    const parts: Buffer[] = from === 0 ? [opening] : [];
    const some = pages.slice(from, from + perSegment);
    for (const page of some) {
      const content = live.readFile((page - 1) * pageSize, pageSize);
      const commitPages = page === pages.at(-1) ? after.pages : 0;
      const { frame, sum: next } = encodeFrame(wal, sum, page, commitPages, content);
      sum = next;
      parts.push(frame);
      end.hashes.set(page, content);
    }
    const raw = Buffer.concat(parts);
    const last = offset + raw.length;
    const ends = from + perSegment >= pages.length;
    let state: DatabaseState = end.state;
    const marks: Mark[] = [];
    if (ends) {
      end.hashes.commit(after.pages);
      state = { pages: after.pages, checksum: end.hashes.checksum, time: after.time };
      marks.push({ ...state, offset: last, restorable: true });
    }
    const place = { generation: end.generation, index: end.index };
    const header = { ...place, offset, pageSize, rawLength: raw.length, before: end.state, marks, endsOnCommit: ends };
    yield {
      key: segmentKey(end.generation, end.index, offset, limits.codec.name),
      index: end.index,
      offset,
      end: last,
      bytes: encodeSegment(header, raw, limits.codec),
      rawLength: raw.length,
      frames: some.length,
      after: { ...place, offset: last, wal, sum, state },
      endsOnCommit: ends,
    };
    offset = last;
  }
}
