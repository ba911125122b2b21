/** Reads a snapshot to its last byte, and proves that it is what it records. */
import { corrupt, withKey } from '../terms/errors.ts';
import { databasePageSize } from './foreign-snapshot.ts';
import { BLOCK_SIZE } from '../format/block-size.ts';
import { checkPageHash, PageHashes } from '../format/page-hashes.ts';
import type { CoreFacts } from '../format/snapshot.ts';
import { isBlockSnapshot, openSnapshot, type SnapshotRef } from './snapshot-reader.ts';
import type { Store } from '../store/store.ts';

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
        if (recorded !== undefined) checkPageHash('SNAPSHOT_PAGE_HASH', page, content, recorded.get(page));
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
