/** Reads single objects to their last byte, and proves what they say of themselves. */
import { corrupt, withKey } from './errors.ts';
import { databasePageSize } from './foreign-snapshot.ts';
import { BLOCK_SIZE } from './format/lz4.ts';
import { formatChecksum, hashPage, PageHashes } from './format/page-hashes.ts';
import { decodeSegment, type ParsedSegmentHeader } from './format/segment.ts';
import type { CoreFacts } from './format/snapshot.ts';
import { segmentKey } from './layout.ts';
import { openSegment, type SegmentRef } from './segment-reader.ts';
import { isBlockSnapshot, openSnapshot, type SnapshotRef } from './snapshot-reader.ts';
import type { Store } from './store/store.ts';
import { lockPage } from './wal/format.ts';

export interface WholeSnapshot {
  readonly hashes: PageHashes;
  /** Absent for another program's snapshot. */
  readonly facts: CoreFacts | undefined;
}

/** Decodes a snapshot whole and compares each page with its recorded hash. Throws `corrupt`. */
export async function readWholeSnapshot(store: Store, generation: string, ref: SnapshotRef): Promise<WholeSnapshot> {
  const opened = await openSnapshot(store, generation, ref);
  const { key, facts } = opened;
  try {
    if (isBlockSnapshot(opened)) await opened.checkFrame();
    const recorded = isBlockSnapshot(opened) ? await opened.hashes() : undefined;
    let pageSize = facts?.pageSize;
    let fresh: PageHashes | undefined;
    let page = 0;
    for await (const block of opened.blocks()) {
      if (block === undefined) continue;
      pageSize ??= databasePageSize(block);
      if (recorded === undefined) fresh ??= new PageHashes(pageSize, BLOCK_SIZE / pageSize);
      for (let at = 0; at < block.length; at += pageSize) {
        const content = block.subarray(at, at + pageSize);
        page++;
        fresh?.set(page, content);
        if (recorded !== undefined) checkPage(recorded, page, content);
      }
    }
    fresh?.commit(page);
    const hashes = recorded ?? fresh;
    if (hashes?.pages !== page) {
      throw corrupt('SNAPSHOT_LENGTH', `${page} pages were read`, { ...(facts && { expected: facts.pages }) });
    }
    return { hashes, facts };
  } catch (error) {
    throw withKey(error, key);
  }
}

function checkPage(recorded: PageHashes, page: number, content: Buffer): void {
  if (page === lockPage(recorded.pageSize)) return;
  const actual = hashPage(page, content);
  if (actual === recorded.get(page)) return;
  throw corrupt('SNAPSHOT_PAGE_HASH', `page ${page} does not match its hash`, {
    expected: formatChecksum(recorded.get(page)),
    actual: formatChecksum(actual),
  });
}

/** The raw WAL bytes of a segment: in one piece for ours, in several for another program's. Throws `corrupt`. */
export async function* readSegmentPieces(
  store: Store,
  generation: string,
  segment: SegmentRef,
): AsyncGenerator<{ readonly header: ParsedSegmentHeader | undefined; readonly raw: Buffer }> {
  try {
    const opened = await openSegment(store, generation, segment);
    if ('header' in opened) {
      yield { header: opened.header, raw: decodeSegment(opened.body, opened.header, segment.codec) };
    } else {
      for await (const raw of opened.raw()) yield { header: undefined, raw };
    }
  } catch (error) {
    throw withKey(error, segmentKey(generation, segment.index, segment.offset, segment.codec));
  }
}
