/** Writes a snapshot, from blocks as they are produced and from ranges of an older snapshot. */
import { crc32 } from '../runtime/crc32.ts';
import { corrupt } from '../terms/errors.ts';
import type { Codec } from '../format/codec.ts';
import { formatChecksum, PageHashes } from '../format/page-hashes.ts';
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
} from '../format/snapshot.ts';
import { snapshotKey } from '../terms/layout.ts';
import type { BlockSnapshot } from './block-snapshot.ts';
import { ObjectWriter } from '../store/object-writer.ts';
import { leastCopyFor } from '../store/part-sizes.ts';
import type { Store } from '../store/store.ts';

/** The facts to record. If the checksum is known beforehand, it is compared with the pages; otherwise it is undefined. */
export type ExpectedFacts = Omit<SnapshotFacts, 'checksum'> & { readonly checksum: bigint | undefined };

export interface WrittenSnapshot {
  readonly key: string;
  /** Bytes stored. */
  readonly size: number;
  readonly checksum: bigint;
}

export interface SnapshotWriterOptions {
  /** Whether blocks will be copied out of an older snapshot. */
  readonly copies?: boolean;
}

/** A snapshot under way: its blocks in order, then `finish` or `abort`. It never replaces an existing one. */
export class SnapshotWriter {
  readonly key: string;
  /** The least bytes of a range to copy, and of the bytes appended before one. */
  readonly leastCopy: number;
  readonly #facts: ExpectedFacts;
  readonly #codec: Codec;
  readonly #writer: ObjectWriter;
  readonly #entries: BlockEntry[] = [];
  #copied = 0;

  constructor(store: Store, facts: ExpectedFacts, codec: Codec, options: SnapshotWriterOptions = {}) {
    const { pageSize, pages } = facts;
    checkSnapshotSize(pages, pageSize);
    this.key = snapshotKey(facts.generation, facts.index, codec.name);
    this.#facts = facts;
    this.#codec = codec;
    // No block grows by more than a few bytes when it does not compress.
    const sizeBound = pages * (pageSize + PAGE_HASH) + blockCount(pages, pageSize) * (TABLE_ENTRY + 512) + 4096;
    this.leastCopy = leastCopyFor(store, sizeBound);
    this.#writer = new ObjectWriter(store, this.key, { headLength: SNAPSHOT_HEADER_LENGTH, sizeBound, ...options });
  }

  /** Bytes that the store copied. */
  get copied(): number {
    return this.#copied;
  }

  /** Appends the next block as stored, with its CRC-32. */
  async append(stored: Buffer, crc: number): Promise<void> {
    if (this.#entries.length === 0) await this.#begin();
    this.#entries.push({ length: stored.length, crc });
    await this.#writer.append(stored);
  }

  /** Appends blocks `first` to `end` − 1 of an older snapshot of the same codec and block size. They are not read. */
  async copy(old: BlockSnapshot, first: number, end: number): Promise<void> {
    if (this.#entries.length === 0) await this.#begin();
    for (let block = first; block < end; block++) this.#entries.push(old.table[block]!);
    const offset = old.offsets[first]!;
    const length = old.offsets[end]! - offset;
    await this.#writer.copy(old.key, { offset, length }, old.etag);
    this.#copied += length;
  }

  /** Says that no more ranges follow. To be called as soon as that is known. */
  async noMoreCopies(): Promise<void> {
    await this.#writer.noMoreCopies();
  }

  /**
   * Makes the snapshot visible. Before that it compares the page count and, if `facts.checksum` was given, the database
   * checksum with the hashes; a difference throws `corrupt` (SNAPSHOT_MISMATCH). Throws `conflict` if the snapshot exists.
   */
  async finish(hashes: PageHashes): Promise<WrittenSnapshot> {
    this.#check(hashes);
    await this.#writer.append(this.#codec.epilogue());
    const complete: SnapshotFacts = { ...this.#facts, checksum: hashes.checksum };
    const trailerStart = this.#writer.position;
    for (const piece of encodeTrailer(complete, this.#codec.name, trailerStart, hashes.toBytes(), this.#entries)) {
      await this.#writer.append(piece);
    }
    const size = this.#writer.position;
    await this.#writer.finish(encodeSnapshotHeader(complete), 'absent');
    return { key: this.key, size, checksum: hashes.checksum };
  }

  async abort(): Promise<void> {
    await this.#writer.abort();
  }

  async #begin(): Promise<void> {
    await this.#writer.append(this.#codec.prologue(false));
  }

  #check({ pages, checksum }: PageHashes): void {
    const { key } = this;
    const facts = this.#facts;
    if (pages !== facts.pages) {
      const message = `${pages} pages were read, but the database has ${facts.pages}`;
      throw corrupt('SNAPSHOT_MISMATCH', message, { key, expected: facts.pages, actual: pages });
    }
    if (facts.checksum !== undefined && checksum !== facts.checksum) {
      throw corrupt('SNAPSHOT_MISMATCH', 'the pages do not add up to the recorded database checksum', {
        key,
        expected: formatChecksum(facts.checksum),
        actual: formatChecksum(checksum),
      });
    }
  }
}

/**
 * Encodes and uploads a whole snapshot. `blocks` yields the database file in order, `pagesPerBlock` pages at a time, the last
 * time possibly fewer. Fails as {@link SnapshotWriter.finish} does; nothing is written then.
 */
export async function writeSnapshot(
  store: Store,
  facts: ExpectedFacts,
  codec: Codec,
  blocks: AsyncIterable<Buffer>,
): Promise<WrittenSnapshot> {
  const { pageSize, pages } = facts;
  const writer = new SnapshotWriter(store, facts, codec);
  try {
    const hashes = new PageHashes(pageSize, pages);
    let page = 0;
    for await (const block of blocks) {
      const inBlock = block.length / pageSize;
      if (page % pagesPerBlock(pageSize) !== 0 || !Number.isInteger(inBlock) || inBlock > pagesPerBlock(pageSize)) {
        throw new RangeError(`a block of ${block.length} bytes after ${page} pages`);
      }
      for (let at = 0; at < block.length; at += pageSize) hashes.set(++page, block.subarray(at, at + pageSize));
      const stored = codec.encodeBlock(block);
      await writer.append(stored, crc32(stored));
    }
    hashes.commit(page);
    return await writer.finish(hashes);
  } catch (error) {
    await writer.abort();
    throw error;
  }
}
