/**
 * The difference: pages in which the database differs from the end of its replica, as a transaction that continues it.
 * Stock SQLite replays it like any other.
 *
 * A former shipper that is still at work writes next at the end of the replica or, if it has just ended its index, at
 * the start of the next index. So the replica's last index is ended first, by a transaction that changes nothing (it
 * writes a page again), and the difference begins the next index. Whichever of the two keys the former shipper writes,
 * either the key is taken, or the former shipper was faster, and what it wrote continues the replica without a gap.
 *
 * If a replica ends inside a transaction, there is only one such key, because the former shipper has not ended its
 * index. Then the difference is taken to the pages as that transaction left them, and ends it. Of two versions of a
 * page in a transaction the later one counts, so no page of the unfinished part stays wrong.
 */
import { randomBytes } from 'node:crypto';
import type { Codec } from '../../../replica/format/codec.ts';
import { PageHashes } from '../../../replica/format/page-hashes.ts';
import { encodeSegment, type Mark } from '../../../replica/format/segment.ts';
import type { DatabaseState } from '../../../replica/terms/database-state.ts';
import { segmentKey } from '../../../replica/terms/layout.ts';
import type { ReplicaEnd } from '../../../replica/takeover/replica-end.ts';
import { encodeFrame, encodeWalHeader, frameSize, lockPage, parseWalHeader } from '../../../replica/wal/format.ts';
import type { CapturedSegment } from '../capture/capture.ts';
import type { HeldImage } from '../snapshot/held-image.ts';

/** Hashes every page. Reads the whole database. */
export async function hashImage(image: HeldImage, signal: AbortSignal, progressed: () => void): Promise<PageHashes> {
  const { pages, pageSize } = image;
  const hashes = new PageHashes(pageSize, pages);
  let page = 0;
  for await (const block of image.blocks(signal, progressed)) {
    for (let at = 0; at < block.length; at += pageSize) hashes.set(++page, block.subarray(at, at + pageSize));
  }
  hashes.commit(pages);
  return hashes;
}

/** Pages that differ, ascending. */
export function differingPages(image: PageHashes, expected: PageHashes): number[] {
  const differing: number[] = [];
  const lock = lockPage(image.pageSize);
  for (let page = 1; page <= image.pages; page++) {
    if (page === lock) continue;
    if (page > expected.pages || image.get(page) !== expected.get(page)) differing.push(page);
  }
  return differing;
}

/** A page that is the same in the database and the replica; undefined if there is none. */
export function pageInCommon(
  { pages, pageSize }: Pick<HeldImage, 'pages' | 'pageSize'>,
  expected: number,
  differing: readonly number[],
): number | undefined {
  const others = new Set(differing).add(lockPage(pageSize));
  for (let page = 1; page <= Math.min(pages, expected); page++) if (!others.has(page)) return page;
  return undefined;
}

interface Limits {
  readonly segmentSize: number;
  readonly codec: Codec;
}

/** Where the content of pages is read. */
export type PageSource = Pick<HeldImage, 'pageSize' | 'read'>;

/**
 * Two transactions that change nothing, at the end of a generation that will not be continued and at the start of its
 * next index: the keys that a former shipper would write next. `page` is a page of `image` as it is in the replica.
 */
export function* closingSegments(
  image: PageSource,
  end: ReplicaEnd,
  page: number,
  limits: Limits,
): Generator<CapturedSegment> {
  yield endOfIndex(image, end, page, limits);
  const next = { index: end.index + 1, offset: 0, wal: undefined, sum: end.sum };
  yield* transaction(image, end, next, [page], end.state, limits);
}

/** Ends the replica's last index by a transaction that writes `page` as it is in the replica. */
export function endOfIndex(image: PageSource, end: ReplicaEnd, page: number, limits: Limits): CapturedSegment {
  const [segment] = transaction(image, end, end, [page], end.state, limits);
  return segment!;
}

/**
 * The difference as segments, at the start of the next index. Brings `end.hashes` to the state after it. Only the end
 * of the last segment is a restore point.
 */
export function differenceSegments(
  image: HeldImage,
  end: ReplicaEnd,
  differing: readonly number[],
  time: number,
  limits: Limits,
): Generator<CapturedSegment> {
  const place = { index: end.index + 1, offset: 0, wal: undefined, sum: end.sum };
  // If the database only shrank, no page differs: one page is written for its commit, which has the new length.
  const pages = differing.length === 0 ? [1] : differing;
  return transaction(image, end, place, pages, { pages: image.pages, time }, limits);
}

/**
 * The rest of the transaction that the replica ends in: pages in which the database differs from what it wrote by now.
 */
export function restOfTransaction(
  image: HeldImage,
  end: ReplicaEnd,
  differing: readonly number[],
  time: number,
  limits: Limits,
): Generator<CapturedSegment> {
  const pages = differing.length === 0 ? [1] : differing;
  return transaction(image, end, end, pages, { pages: image.pages, time }, limits);
}

function* transaction(
  image: PageSource,
  end: ReplicaEnd,
  from: Pick<ReplicaEnd, 'index' | 'offset' | 'wal' | 'sum'>,
  pages: readonly number[],
  after: { readonly pages: number; readonly time: number },
  limits: Limits,
): Generator<CapturedSegment> {
  const { pageSize } = image;
  const perSegment = Math.max(Math.floor(limits.segmentSize / frameSize(pageSize)), 1);
  const opening = from.wal === undefined ? newWalHeader(pageSize) : Buffer.alloc(0);
  const wal = from.wal ?? parseWalHeader(opening);
  let sum = from.wal === undefined ? wal.sum : from.sum;
  let { offset } = from;
  for (let at = 0; at < pages.length; at += perSegment) {
    const parts: Buffer[] = at === 0 ? [opening] : [];
    const some = pages.slice(at, at + perSegment);
    for (const page of some) {
      const content = image.read(page, 1);
      const commitPages = page === pages.at(-1) ? after.pages : 0;
      const { frame, sum: next } = encodeFrame(wal, sum, page, commitPages, content);
      sum = next;
      parts.push(frame);
      end.hashes.set(page, content);
    }
    const raw = Buffer.concat(parts);
    const last = offset + raw.length;
    const ends = at + perSegment >= pages.length;
    let state: DatabaseState = end.state;
    const marks: Mark[] = [];
    if (ends) {
      end.hashes.commit(after.pages);
      state = { pages: after.pages, checksum: end.hashes.checksum, time: after.time };
      marks.push({ ...state, offset: last, restorable: true });
    }
    const place = { generation: end.generation, index: from.index };
    const header = { ...place, offset, pageSize, rawLength: raw.length, before: end.state, marks, endsOnCommit: ends };
    yield {
      key: segmentKey(end.generation, from.index, offset, limits.codec.name),
      index: from.index,
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

function newWalHeader(pageSize: number): Buffer {
  const salts = randomBytes(8);
  const [salt1, salt2] = [salts.readUInt32BE(0), salts.readUInt32BE(4)];
  return encodeWalHeader({ order: 'little', pageSize, sequence: 0, salt1, salt2 });
}
