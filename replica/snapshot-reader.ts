/** Opens snapshots: ours by their trailer, block by block and in parallel; Litestream's as a stream. */
import { crc32 } from 'node:zlib';
import { corrupt, withKey } from './errors.ts';
import { ByteSource } from './format/byte-source.ts';
import { codec as codecNamed, type Codec } from './format/codec.ts';
import { BLOCK_SIZE, lz4DecodeFrame } from './format/lz4.ts';
import { formatChecksum, PageHashes } from './format/page-hashes.ts';
import { startsForeign } from './format/segment.ts';
import {
  endsWithFooter,
  FOOTER_LENGTH,
  PAGE_HASH,
  parseFooter,
  parseSnapshotHeader,
  parseTable,
  SNAPSHOT_HEADER_LENGTH,
  TABLE_ENTRY,
  TRAILER_PROBE,
  type BlockEntry,
  type SnapshotFacts,
  type SnapshotFooter,
} from './format/snapshot.ts';
import { parseSkippableHead, SKIPPABLE_OVERHEAD } from './format/skippable-frame.ts';
import { snapshotKey, type CodecName } from './layout.ts';
import { mapOrdered } from './ordered.ts';
import type { Store } from './store/store.ts';
import { isPageSize } from './wal/format.ts';

/** One snapshot object, as a listing shows it. */
export interface SnapshotRef {
  readonly index: number;
  readonly codec: CodecName;
  readonly size: number;
  readonly lastModified: number;
}

/** Blocks fetched by one request, at most. */
const RUN_BYTES = 2 << 20;
const AHEAD = 2;

/** The facts at the start of one of our snapshots; undefined for another program's. */
export async function readSnapshotFacts(
  store: Store,
  generation: string,
  snapshot: SnapshotRef,
): Promise<SnapshotFacts | undefined> {
  const key = snapshotKey(generation, snapshot.index, snapshot.codec);
  try {
    const length = Math.min(SNAPSHOT_HEADER_LENGTH, snapshot.size);
    const { body } = await store.get(key, { offset: 0, length });
    if (body.length >= 4 && startsForeign(body)) return undefined;
    const facts = parseSnapshotHeader(body);
    checkIdentity(facts, generation, snapshot);
    return facts;
  } catch (error) {
    throw withKey(error, key);
  }
}

/** A snapshot opened for reading. */
export interface OpenSnapshot {
  readonly key: string;
  readonly size: number;
  /** Absent for another program's snapshot. */
  readonly facts: SnapshotFacts | undefined;
  /**
   * The database file from its start, in pieces of 1 MiB (the last may be shorter), each checked against its CRC.
   * With `want`, pieces for which it says no come as undefined and are not fetched.
   */
  blocks(want?: (block: number) => boolean): AsyncGenerator<Buffer | undefined>;
}

/** A snapshot of our own, with everything its trailer gives. */
export interface BlockSnapshot extends OpenSnapshot {
  readonly facts: SnapshotFacts;
  readonly etag: string;
  readonly footer: SnapshotFooter;
  readonly table: readonly BlockEntry[];
  /** Offset of each block in the object, and behind the last one the end of the blocks. */
  readonly offsets: Float64Array;
  /** The hash of every page, checked against the trailer's CRC and the database checksum. */
  hashes(): Promise<PageHashes>;
  /** Blocks `first` to `last` as stored, by one request, each checked against its CRC. */
  stored(first: number, last: number): Promise<Buffer[]>;
  /** One block, decoded. */
  block(index: number): Promise<Buffer>;
}

export async function openSnapshot(
  store: Store,
  generation: string,
  snapshot: SnapshotRef,
): Promise<OpenSnapshot | BlockSnapshot> {
  const key = snapshotKey(generation, snapshot.index, snapshot.codec);
  try {
    const end = await store.get(key, { suffix: TRAILER_PROBE });
    if (!endsWithFooter(end.body)) {
      const { body } = await store.get(key, { offset: 0, length: Math.min(4, end.size) });
      if (body.length < 4 || !startsForeign(body)) throw corrupt('SNAPSHOT_FOOTER', 'no snapshot footer at its end');
      return { key, size: end.size, facts: undefined, blocks: (want) => foreignBlocks(store, key, want) };
    }
    return await openBlocks(store, generation, snapshot, key, end);
  } catch (error) {
    throw withKey(error, key);
  }
}

export function isBlockSnapshot(snapshot: OpenSnapshot): snapshot is BlockSnapshot {
  return 'footer' in snapshot;
}

async function openBlocks(
  store: Store,
  generation: string,
  ref: SnapshotRef,
  key: string,
  end: { readonly body: Buffer; readonly size: number; readonly etag: string },
): Promise<BlockSnapshot> {
  const footer = parseFooter(end.body, end.size);
  if (footer.codec !== ref.codec)
    throw corrupt('SNAPSHOT_IDENTITY', `holds ${footer.codec} blocks under a ${ref.codec} key`);
  const codec = codecNamed(footer.codec);
  const prologue = codec.prologue(false);
  const epilogue = codec.epilogue();
  const firstBlock = SNAPSHOT_HEADER_LENGTH + prologue.length;

  const opening = (await store.get(key, { offset: 0, length: firstBlock })).body;
  const facts = parseSnapshotHeader(opening);
  checkIdentity(facts, generation, ref);
  if (!opening.subarray(SNAPSHOT_HEADER_LENGTH).equals(prologue)) {
    throw corrupt('SNAPSHOT_FRAME', 'unexpected frame header');
  }
  for (const name of ['pageSize', 'generation', 'index', 'pages', 'time', 'checksum'] as const) {
    if (facts[name] !== footer.facts[name]) throw corrupt('SNAPSHOT_IDENTITY', `header and footer disagree on ${name}`);
  }

  const tableBytes = footer.blocks * TABLE_ENTRY;
  const tableFromEnd = tableBytes + FOOTER_LENGTH;
  const table =
    tableFromEnd <= end.body.length
      ? end.body.subarray(end.body.length - tableFromEnd, end.body.length - FOOTER_LENGTH)
      : (await store.get(key, { offset: end.size - tableFromEnd, length: tableBytes })).body;
  const entries = parseTable(table, footer, firstBlock, epilogue.length);
  const offsets = new Float64Array(entries.length + 1);
  offsets[0] = firstBlock;
  entries.forEach((entry, i) => (offsets[i + 1] = offsets[i]! + entry.length));

  const seam = await store.get(key, {
    offset: footer.trailerStart - epilogue.length,
    length: epilogue.length + SKIPPABLE_OVERHEAD,
  });
  parseSkippableHead(seam.body.subarray(epilogue.length), end.size - footer.trailerStart - SKIPPABLE_OVERHEAD);
  if (
    !seam.body.subarray(0, epilogue.length).equals(epilogue) ||
    seam.body.readUInt32LE(epilogue.length + 4) !== end.size - footer.trailerStart - SKIPPABLE_OVERHEAD
  ) {
    throw corrupt('SNAPSHOT_FRAME', 'unexpected bytes between blocks and trailer');
  }

  const shared = { store, key, footer, codec, entries, offsets };
  return {
    key,
    size: end.size,
    etag: end.etag,
    facts,
    footer,
    table: entries,
    offsets,
    blocks: (want) => readBlocks(shared, want),
    hashes: () => readHashes(shared),
    stored: (first, last) => storedBlocks(shared, first, last),
    async block(index) {
      const [stored] = await storedBlocks(shared, index, index);
      return decodeBlock(shared, index, stored!);
    },
  };
}

interface Shared {
  readonly store: Store;
  readonly key: string;
  readonly footer: SnapshotFooter;
  readonly codec: Codec;
  readonly entries: readonly BlockEntry[];
  readonly offsets: Float64Array;
}

async function* readBlocks(shared: Shared, want?: (block: number) => boolean): AsyncGenerator<Buffer | undefined> {
  const fetched = mapOrdered(runs(shared.entries, want), AHEAD, async (run) => {
    return { run, stored: run.wanted ? await storedBlocks(shared, run.first, run.last) : undefined };
  });
  for await (const { run, stored } of fetched) {
    for (let block = run.first; block <= run.last; block++) {
      yield stored && decodeBlock(shared, block, stored[block - run.first]!);
    }
  }
}

async function storedBlocks(shared: Shared, first: number, last: number): Promise<Buffer[]> {
  const { store, key, entries, offsets } = shared;
  const start = offsets[first]!;
  const { body } = await store.get(key, { offset: start, length: offsets[last + 1]! - start });
  const blocks: Buffer[] = [];
  for (let block = first; block <= last; block++) {
    const stored = body.subarray(offsets[block]! - start, offsets[block + 1]! - start);
    if (crc32(stored) !== entries[block]!.crc) {
      throw corrupt('SNAPSHOT_BLOCK_CRC', `block ${block} does not match its CRC`, { key });
    }
    blocks.push(stored);
  }
  return blocks;
}

function* runs(
  entries: readonly BlockEntry[],
  want: (block: number) => boolean = () => true,
): Generator<{ readonly first: number; readonly last: number; readonly wanted: boolean }> {
  let first = 0;
  let bytes = 0;
  let wanted = false;
  for (let block = 0; block < entries.length; block++) {
    const next = want(block);
    if (block > first && (next !== wanted || (wanted && bytes + entries[block]!.length > RUN_BYTES))) {
      yield { first, last: block - 1, wanted };
      first = block;
      bytes = 0;
    }
    wanted = next;
    bytes += entries[block]!.length;
  }
  if (entries.length > 0) yield { first, last: entries.length - 1, wanted };
}

function decodeBlock(shared: Shared, block: number, stored: Buffer): Buffer {
  const { facts, blockPages } = shared.footer;
  try {
    const pages = Math.min(blockPages, facts.pages - block * blockPages);
    return shared.codec.decodeBlock(stored, pages * facts.pageSize);
  } catch (error) {
    throw withKey(error, shared.key);
  }
}

async function readHashes(shared: Shared): Promise<PageHashes> {
  const { footer, store, key } = shared;
  const { pages, pageSize, checksum } = footer.facts;
  const bytes = Buffer.allocUnsafe(pages * PAGE_HASH);
  let at = 0;
  for await (const chunk of store.stream(key, {
    offset: footer.trailerStart + SKIPPABLE_OVERHEAD,
    length: bytes.length,
  })) {
    at += chunk.copy(bytes, at);
  }
  if (crc32(bytes) !== footer.hashesCrc)
    throw corrupt('SNAPSHOT_HASHES_CRC', 'the page hashes do not match their CRC', { key });
  const hashes = PageHashes.from(pageSize, bytes);
  if (hashes.checksum !== checksum) {
    throw corrupt('SNAPSHOT_CHECKSUM', 'the page hashes do not add up to the recorded checksum', {
      key,
      expected: formatChecksum(checksum),
      actual: formatChecksum(hashes.checksum),
    });
  }
  return hashes;
}

async function* foreignBlocks(
  store: Store,
  key: string,
  want: (block: number) => boolean = () => true,
): AsyncGenerator<Buffer | undefined> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let block = 0;
  let pageSize = 0;
  try {
    for await (const raw of lz4DecodeFrame(new ByteSource(store.stream(key)))) {
      held.push(raw);
      heldBytes += raw.length;
      if (heldBytes < BLOCK_SIZE) continue;
      const all = Buffer.concat(held);
      if (pageSize === 0) pageSize = databasePageSize(all);
      let at = 0;
      for (; at + BLOCK_SIZE <= all.length; at += BLOCK_SIZE) {
        yield want(block++) ? Buffer.from(all.subarray(at, at + BLOCK_SIZE)) : undefined;
      }
      held = at < all.length ? [all.subarray(at)] : [];
      heldBytes = all.length - at;
    }
    if (heldBytes === 0) return;
    const last = Buffer.concat(held);
    if (pageSize === 0) pageSize = databasePageSize(last);
    if (last.length % pageSize !== 0) throw corrupt('SNAPSHOT_LENGTH', 'the snapshot does not end on a page boundary');
    yield want(block) ? last : undefined;
  } catch (error) {
    throw withKey(error, key);
  }
}

/** The page size in a database file's header (https://www.sqlite.org/fileformat2.html#page_size), bytes. */
export function databasePageSize(start: Buffer): number {
  if (start.length < 100 || start.toString('latin1', 0, 16) !== 'SQLite format 3\0') {
    throw corrupt('NOT_A_DATABASE', 'does not begin like an SQLite database');
  }
  const raw = start.readUInt16BE(16);
  const pageSize = raw === 1 ? 65536 : raw;
  if (!isPageSize(pageSize)) throw corrupt('NOT_A_DATABASE', `impossible page size ${pageSize}`);
  return pageSize;
}

function checkIdentity(facts: SnapshotFacts, generation: string, ref: SnapshotRef): void {
  if (facts.generation !== generation || facts.index !== ref.index) {
    throw corrupt(
      'SNAPSHOT_IDENTITY',
      `holds snapshot ${facts.index} of ${facts.generation}, not the one its key names`,
    );
  }
}
