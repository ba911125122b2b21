/** Writes a snapshot as its blocks are produced. */
import { crc32 } from 'node:zlib';
import { corrupt } from './errors.ts';
import { type Codec } from './format/codec.ts';
import { formatChecksum, PageHashes } from './format/page-hashes.ts';
import {
  blockCount,
  checkSnapshotSize,
  encodeSnapshotHeader,
  encodeTrailer,
  PAGE_HASH,
  pagesPerBlock,
  SNAPSHOT_HEADER_LENGTH,
  TABLE_ENTRY,
  type BlockEntry,
  type SnapshotFacts,
} from './format/snapshot.ts';
import { snapshotKey } from './layout.ts';
import { ObjectWriter } from './store/object-writer.ts';
import type { Store } from './store/store.ts';

export interface WrittenSnapshot {
  readonly key: string;
  /** Bytes stored. */
  readonly size: number;
  readonly checksum: bigint;
}

/**
 * Encodes and uploads a snapshot, never over an existing one (`conflict` then).
 *
 * `blocks` yields the database file in order: `pagesPerBlock` pages each, the last possibly fewer. Before the object
 * becomes visible the page count and, when `facts.checksum` is given, the database checksum are compared with what
 * was seen; a difference throws `corrupt` (SNAPSHOT_MISMATCH) and nothing is written.
 */
export async function writeSnapshot(
  store: Store,
  facts: Omit<SnapshotFacts, 'checksum'> & { readonly checksum: bigint | undefined },
  codec: Codec,
  blocks: AsyncIterable<Buffer>,
): Promise<WrittenSnapshot> {
  const { pageSize, pages } = facts;
  checkSnapshotSize(pages, pageSize);
  const key = snapshotKey(facts.generation, facts.index, codec.name);
  const writer = new ObjectWriter(store, key, {
    headLength: SNAPSHOT_HEADER_LENGTH,
    // No block grows by more than a few bytes when it does not compress.
    sizeBound: pages * (pageSize + PAGE_HASH) + blockCount(pages, pageSize) * (TABLE_ENTRY + 512) + 4096,
  });
  try {
    await writer.append(codec.prologue(false));
    const hashes = new PageHashes(pageSize, pages);
    const entries: BlockEntry[] = [];
    let page = 0;
    for await (const block of blocks) {
      const inBlock = block.length / pageSize;
      if (page % pagesPerBlock(pageSize) !== 0 || !Number.isInteger(inBlock) || inBlock > pagesPerBlock(pageSize)) {
        throw new RangeError(`a block of ${block.length} bytes after ${page} pages`);
      }
      for (let at = 0; at < block.length; at += pageSize) hashes.set(++page, block.subarray(at, at + pageSize));
      const stored = codec.encodeBlock(block);
      entries.push({ length: stored.length, crc: crc32(stored) });
      await writer.append(stored);
    }
    hashes.commit(page);
    checkSeen(key, facts, page, hashes.checksum);

    await writer.append(codec.epilogue());
    const complete: SnapshotFacts = { ...facts, checksum: hashes.checksum };
    for (const piece of encodeTrailer(complete, codec.name, writer.position, hashes.toBytes(), entries)) {
      await writer.append(piece);
    }
    const size = writer.position;
    await writer.finish(encodeSnapshotHeader(complete), 'absent');
    return { key, size, checksum: hashes.checksum };
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

function checkSeen(
  key: string,
  facts: { readonly pages: number; readonly checksum: bigint | undefined },
  pages: number,
  checksum: bigint,
): void {
  if (pages !== facts.pages) {
    throw corrupt('SNAPSHOT_MISMATCH', `${pages} pages were read where the database has ${facts.pages}`, {
      key,
      expected: facts.pages,
      actual: pages,
    });
  }
  if (facts.checksum !== undefined && checksum !== facts.checksum) {
    throw corrupt('SNAPSHOT_MISMATCH', 'the pages do not add up to the recorded database checksum', {
      key,
      expected: formatChecksum(facts.checksum),
      actual: formatChecksum(checksum),
    });
  }
}
