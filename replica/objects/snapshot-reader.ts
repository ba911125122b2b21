/** Opens snapshots: Seawall's by their trailer, block by block and in parallel; Litestream's as a stream. */
import { corrupt, withKey } from '../terms/errors.ts';
import { foreignBlocks } from './foreign-snapshot.ts';
import { codec as codecNamed } from '../format/codec.ts';
import { startsForeign } from '../format/segment.ts';
import {
  endsWithFooter,
  FOOTER_LENGTH,
  parseFooter,
  parseSnapshotHeader,
  parseTable,
  SNAPSHOT_HEADER_LENGTH,
  TABLE_ENTRY,
  TRAILER_PROBE,
  type CoreFacts,
  type SnapshotFacts,
} from '../format/snapshot.ts';
import { snapshotKey, type CodecName } from '../terms/layout.ts';
import { BlockSnapshot, firstBlockOf } from './block-snapshot.ts';
import type { Store } from '../store/store.ts';

/** One snapshot object, as a listing shows it. */
export interface SnapshotRef {
  /** The snapshot is the state at the start of this WAL index. */
  readonly index: number;
  /** How its blocks are compressed. */
  readonly codec: CodecName;
  /** Bytes stored. */
  readonly size: number;
  /** By the store's clock, milliseconds since 1970. */
  readonly lastModified: number;
}

/** The facts in the header of a snapshot, by one small read. Undefined for another program's. Throws `corrupt`. */
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

/** A snapshot opened for reading: a `BlockSnapshot`, or another program's. */
export interface OpenSnapshot {
  readonly key: string;
  readonly size: number;
  /** Absent for another program's snapshot. */
  readonly facts: CoreFacts | undefined;
  /**
   * The database file from its start, in pieces of 1 MiB (the last may be shorter), each checked against its CRC if it has
   * one. Pieces for which `want` returns false come as undefined.
   */
  blocks(want?: (block: number) => boolean): AsyncGenerator<Buffer | undefined>;
}

/** Opens a snapshot. Reads the end of the object, and one more range if the database has more than a few GiB or the object has no footer. */
export async function openSnapshot(store: Store, generation: string, snapshot: SnapshotRef): Promise<OpenSnapshot> {
  const key = snapshotKey(generation, snapshot.index, snapshot.codec);
  try {
    const end = await store.get(key, { suffix: TRAILER_PROBE });
    if (!endsWithFooter(end.body)) {
      const { body } = await store.get(key, { offset: 0, length: Math.min(4, end.size) });
      if (body.length < 4 || !startsForeign(body)) throw corrupt('SNAPSHOT_FOOTER', 'no snapshot footer at its end');
      return { key, size: end.size, facts: undefined, blocks: (want) => foreignBlocks(store, key, want) };
    }
    const footer = parseFooter(end.body, end.size);
    if (footer.codec !== snapshot.codec) {
      throw corrupt('SNAPSHOT_IDENTITY', `holds ${footer.codec} blocks under a ${snapshot.codec} key`);
    }
    checkIdentity(footer.facts, generation, snapshot);
    const tableBytes = footer.blocks * TABLE_ENTRY;
    const fromEnd = tableBytes + FOOTER_LENGTH;
    const table =
      fromEnd <= end.body.length
        ? end.body.subarray(end.body.length - fromEnd, end.body.length - FOOTER_LENGTH)
        : (await store.get(key, { offset: end.size - fromEnd, length: tableBytes })).body;
    const codec = codecNamed(footer.codec);
    const entries = parseTable(table, footer, firstBlockOf(codec), codec.epilogue().length);
    return new BlockSnapshot(store, { key, size: end.size, etag: end.etag }, footer, entries);
  } catch (error) {
    throw withKey(error, key);
  }
}

/** Whether a snapshot is Seawall's, and so has a block table and page hashes. */
export function isBlockSnapshot(snapshot: OpenSnapshot): snapshot is BlockSnapshot {
  return snapshot instanceof BlockSnapshot;
}

function checkIdentity(facts: CoreFacts, generation: string, ref: SnapshotRef): void {
  if (facts.generation !== generation || facts.index !== ref.index) {
    throw corrupt(
      'SNAPSHOT_IDENTITY',
      `holds snapshot ${facts.index} of ${facts.generation}, not the one its key names`,
    );
  }
}
