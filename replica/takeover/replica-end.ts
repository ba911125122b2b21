/**
 * The end of what a replica holds: the hash of every page there, and where and how the WAL can be continued. Read from
 * the newest snapshot's trailer and the WAL after it; no page content of the snapshot is fetched.
 */
import { sameState } from '../plan/chain.ts';
import { corrupt, SeawallError } from '../terms/errors.ts';
import type { PageHashes } from '../format/page-hashes.ts';
import { stateAfter } from '../format/segment.ts';
import type { DatabaseState } from '../terms/database-state.ts';
import { GenerationReader } from '../plan/generation-reader.ts';
import { planLatest } from '../plan/plan.ts';
import { readWal, type SegmentRef } from '../objects/segment-reader.ts';
import { readWholeSnapshot } from '../objects/whole-snapshot.ts';
import { isBlockSnapshot, openSnapshot, type SnapshotRef } from '../objects/snapshot-reader.ts';
import type { Store } from '../store/store.ts';
import { positionIn, type Generation } from '../catalogue/generation.ts';
import type { CodecName } from '../terms/layout.ts';
import type { WalSum } from '../wal/checksum.ts';
import type { WalHeader } from '../wal/format.ts';

export interface ReplicaEnd {
  readonly generation: string;
  /** Of the generation's segments: a generation keeps its codec. */
  readonly codec: CodecName;
  /** The snapshot that was read, and the segments from its index on, ascending. */
  readonly base: SnapshotRef;
  readonly segments: readonly SegmentRef[];
  /** The byte after the last segment; 0 when the index has none. */
  readonly index: number;
  readonly offset: number;
  /** How that index goes on; `wal` is undefined when it has not begun. */
  readonly wal: WalHeader | undefined;
  readonly sum: WalSum;
  /** Of the pages as the last frames have them, committed or not. */
  readonly hashes: PageHashes;
  /** After the last commit. */
  readonly state: DatabaseState;
  /**
   * The last segments are the beginning of a transaction whose end never came, or of a run that repeats older history:
   * the pages at the end are a mixture that the database never was. Whoever goes on must end this transaction with all
   * pages as they are to be.
   */
  readonly unfinished: boolean;
}

/**
 * Reads the end of a generation. Throws `corrupt` when something on the way is damaged or missing, and `refused`
 * (UNFINISHED_TRANSACTION) when it ends inside a transaction of another program's.
 *
 * @param adopted whether the objects of another program, which record no hashes, are read and hashed; else they are
 *   `unsupported` (FOREIGN_SNAPSHOT, FOREIGN_SEGMENT)
 */
export async function readReplicaEnd(store: Store, generation: Generation, adopted = false): Promise<ReplicaEnd> {
  const plan = await planLatest(new GenerationReader(store, generation));
  const snapshot = await openSnapshot(store, generation.id, plan.snapshot);
  if (!isBlockSnapshot(snapshot) && !adopted) {
    throw new SeawallError('unsupported', 'FOREIGN_SNAPSHOT', `${snapshot.key} records no page hashes`, {
      key: snapshot.key,
    });
  }
  const hashes = isBlockSnapshot(snapshot)
    ? await snapshot.hashes()
    : (await readWholeSnapshot(store, generation.id, plan.snapshot)).hashes;
  const reached = (time: number): DatabaseState => ({ pages: hashes.pages, checksum: hashes.checksum, time });
  let state: DatabaseState = snapshot.facts ?? reached(plan.snapshot.lastModified);
  let finished = true;
  let restorable = true;
  let isForeign = false;
  let end: Pick<ReplicaEnd, 'index' | 'offset' | 'wal' | 'sum'> = {
    index: plan.snapshot.index,
    offset: 0,
    wal: undefined,
    sum: { s1: 0, s2: 0 },
  };
  // All segments, not only those that the latest restore point needs: what follows it must be continued, too.
  const segments = generation.segments.filter((segment) => segment.index >= plan.snapshot.index);
  for await (const { frames, header, segment, tail } of readWal(store, generation.id, segments)) {
    const { index } = segment;
    const position = positionIn(generation, segment);
    if (header === undefined && !adopted) {
      throw new SeawallError('unsupported', 'FOREIGN_SEGMENT', `the segment at ${position} records no states`, {
        position,
      });
    }
    if (header !== undefined && !sameState(state, header.before))
      throw corrupt('WAL_GAP', `WAL is missing before ${position}`, { position });
    for (const { page, content, commitPages } of frames) {
      finished = commitPages !== 0;
      hashes.set(page, content);
      if (commitPages !== 0) hashes.commit(commitPages);
    }
    isForeign = header === undefined;
    restorable = header?.marks.at(-1)?.restorable ?? restorable;
    state = header === undefined ? reached(segment.lastModified) : stateAfter(header);
    end = { index, ...tail };
    if (
      header !== undefined &&
      finished &&
      !sameState(state, { ...state, pages: hashes.pages, checksum: hashes.checksum })
    ) {
      throw corrupt('SEGMENT_STATE', `the frames up to ${position} do not lead to the recorded state`, { position });
    }
  }
  if (!finished && isForeign) {
    const position = positionIn(generation, end);
    const message = `the replica ends inside a transaction at ${position}`;
    throw new SeawallError('refused', 'UNFINISHED_TRANSACTION', message, { position });
  }
  const { codec } = generation.segments.at(-1) ?? plan.snapshot;
  const about = { generation: generation.id, codec, base: plan.snapshot, segments };
  return { ...about, ...end, hashes, state, unfinished: !finished || !restorable };
}
