/**
 * The restore plan: which snapshot and which segments make the state at a point, and what proves it.
 *
 * A point that cannot be reached is an error that names the nearest reachable points before and after it. An older
 * state is never passed off as the one that was asked for.
 */
import { Chain, sameState, walGap, type Found } from './chain.ts';
import { baseFor, chainOfOlder } from './early-base.ts';
import { GenerationReader, type ChainIndex } from './generation-reader.ts';
import { corrupt, point, SeawallError } from '../terms/errors.ts';
import type { ParsedSegmentHeader } from '../format/segment.ts';
import type { DatabaseState } from '../terms/database-state.ts';
import { HEAD_KEY, segmentKey } from '../terms/layout.ts';
import { comparePlaces, formatPosition, type Place } from '../terms/position.ts';
import type { SegmentRef } from '../objects/segment-reader.ts';
import type { SnapshotRef } from '../objects/snapshot-reader.ts';
import type { Store } from '../store/store.ts';
import { formatTime, type Target } from '../terms/target.ts';
import { snapshotAtOrBefore, type Generation } from '../catalogue/generation.ts';
import type { FoundHead } from '../catalogue/head.ts';
import type { Timeline } from '../catalogue/timeline.ts';

/** Stands for "to the end of the index" if the listing does not tell the exact byte. */
const TO_THE_END = Number.MAX_SAFE_INTEGER;

export interface RestorePlan {
  readonly generation: Generation;
  readonly snapshot: SnapshotRef;
  /** The indexes to replay, ascending and without gaps; empty if the snapshot alone is the state. */
  readonly indexes: readonly ChainIndex[];
  /** Frames of `index` before `offset` are applied, and all older ones. */
  readonly until: Place;
  /** A recorded state at or after `until`, in the same index, that the frames must lead to: the restore's proof. */
  readonly proof: { readonly offset: number; readonly state: DatabaseState } | undefined;
  /** When the state was captured, milliseconds since 1970; by the store's clock if nothing recorded it. */
  readonly time: number;
}

/**
 * Decides how to restore `target`. Throws `point` if it cannot be reached, `missing` if nothing can be restored, and
 * `corrupt` if an object that should be there is not.
 */
export async function planRestore(store: Store, timeline: Timeline, target: Target): Promise<RestorePlan> {
  const readerOf = (generation: Generation): GenerationReader =>
    new GenerationReader(store, generation, timeline.floors.get(generation.id));
  switch (target.kind) {
    case 'latest': {
      if (timeline.missing !== undefined) throw timeline.missing;
      if (timeline.current === undefined) throw nothingRestorable(store);
      const { plan, chain } = await latestIn(readerOf(timeline.current));
      await checkHead(chain, timeline.head);
      return plan;
    }
    case 'time':
      if (timeline.missing !== undefined && target.time >= (timeline.claim?.since ?? 0)) throw timeline.missing;
      return planTime(store, timeline.generations.map(readerOf), timeline.head, target.time);
    case 'position': {
      const { generation: id, index, offset } = target.position;
      const generation = timeline.generations.find((each) => each.id === id);
      if (generation === undefined) {
        throw point('POINT_UNKNOWN_GENERATION', `the replica has no generation ${id}`, {});
      }
      return planPosition(readerOf(generation), timeline.head, { index, offset });
    }
    case 'txid':
      throw point('POINT_OF_OTHER_FORMAT', 'only replicas of Litestream 0.5 count transactions; name a position', {});
  }
}

/** The newest state of one generation. Throws `missing` if it has no snapshot, `corrupt` if WAL is missing. */
export async function planLatest(reader: GenerationReader): Promise<RestorePlan> {
  return (await latestIn(reader)).plan;
}

async function latestIn(reader: GenerationReader): Promise<{ readonly plan: RestorePlan; readonly chain: Chain }> {
  const { generation, store } = reader;
  const snapshot = generation.snapshots.at(-1);
  if (snapshot === undefined) throw nothingRestorable(store);
  const chain = new Chain(reader, snapshot);
  const { reach } = chain;
  const behind = generation.segments.at(-1);
  if (behind !== undefined && behind.index > reach) {
    const key = segmentKey(generation.id, behind.index, behind.offset, behind.codec);
    const position = reader.position({ index: reach + 1, offset: 0 });
    throw corrupt('WAL_GAP', `WAL index ${reach + 1} is missing before it, so the latest state cannot be restored`, {
      key,
      position,
      before: position,
    });
  }
  return { plan: await planFound(chain, await chain.newestAt(Number.POSITIVE_INFINITY)), chain };
}

async function planPosition(
  reader: GenerationReader,
  head: FoundHead | undefined,
  wanted: Place,
): Promise<RestorePlan> {
  const { index, offset } = wanted;
  const { generation } = reader;
  const name = reader.position(wanted);
  const newest = snapshotAtOrBefore(generation, index);
  if (newest === undefined) {
    const first = generation.snapshots[0];
    throw point('POINT_BEFORE_FIRST', `${name} lies before the first snapshot that is kept`, {
      ...(first && { after: reader.position({ index: first.index, offset: 0 }) }),
    });
  }
  const base = await baseFor(reader, newest, wanted);
  if (base.index === index && offset === 0) return planSnapshot(reader, base);
  const last = offset === 0 ? index - 1 : index;
  const until = offset === 0 ? TO_THE_END : offset;
  const chain = new Chain(reader, base).promised();
  const ended = newest.index === index || chain.reach >= index || reachedByHead(head, generation, wanted);
  if (chain.reach < last || (offset === 0 && !ended)) {
    const before = placeOf(base, await chain.newestBefore({ index: last, offset: until }));
    const after = generation.snapshots.find((snapshot) => snapshot.index > base.index && snapshot.index >= index);
    throw point('POINT_NOT_KEPT', `${name} cannot be restored: the WAL before it is not there, or not yet`, {
      before: reader.position(before),
      ...(after && { after: reader.position({ index: after.index, offset: 0 }) }),
    });
  }
  const indexes = chain.indexes.filter((entry) => entry.index <= last);
  const { segments } = indexes.at(-1)!;
  const holding = segments.findLast((segment) => segment.offset < until)!;
  const headers = await headersFrom(reader, segments, holding);
  if (headers === undefined) {
    return planUntil(chain, { index: last, offset: until }, undefined, holding.lastModified);
  }
  const marks = headers.flatMap((header) => header.marks);
  const proof = until === TO_THE_END ? marks.at(-1) : marks.find((mark) => mark.offset >= until);
  if (proof?.restorable !== true) throw await notACommit(chain, name, { index: last, offset: until });
  const following = offset === 0 ? chain.indexes.find((entry) => entry.index === index)?.segments[0] : undefined;
  if (following !== undefined) {
    // The end of an index is the state in which the next one begins; if it ends earlier, segments are missing.
    const next = await reader.header(following);
    if (next !== undefined && !sameState(next.before, proof)) throw walGap(generation, following);
  }
  const place = { index: last, offset: until === TO_THE_END ? proof.offset : until };
  return planUntil(chain, place, { offset: proof.offset, state: proof }, proof.time);
}

/** The headers from a segment on, up to and including the first that names a commit; undefined if one is not ours. */
async function headersFrom(
  reader: GenerationReader,
  segments: readonly SegmentRef[],
  from: SegmentRef,
): Promise<ParsedSegmentHeader[] | undefined> {
  const headers: ParsedSegmentHeader[] = [];
  for (const segment of segments.slice(segments.indexOf(from))) {
    const header = await reader.header(segment);
    if (header === undefined) return undefined;
    headers.push(header);
    if (header.marks.length > 0) break;
  }
  return headers;
}

async function planTime(
  store: Store,
  readers: readonly GenerationReader[],
  head: FoundHead | undefined,
  time: number,
): Promise<RestorePlan> {
  const { reader, later } = await generationAt(store, readers, time);
  const { base, next } = await snapshotsAround(reader, time);
  const after = async (): Promise<string | undefined> => {
    if (next !== undefined) return formatTime(await reader.snapshotTime(next));
    return later === undefined ? undefined : formatTime(later);
  };
  const notKept = async (newest: number): Promise<SeawallError> => {
    const near = await after();
    return point('POINT_NOT_KEPT', `${formatTime(time)} cannot be restored: the WAL of that time is no longer kept`, {
      before: formatTime(newest),
      ...(near !== undefined && { after: near }),
    });
  };
  if (base.index < reader.floor) {
    // Retention has deleted the WAL after this snapshot, or is about to: only the snapshot's own moment is left.
    const plan = await planSnapshot(reader, base);
    if (plan.time < time) throw await notKept(plan.time);
    return plan;
  }
  const chain = new Chain(reader, base);
  const found = await chain.newestAt(time);
  const plan = await planFound(chain, found);
  if (!found.last) return (await fromOlder(chain, plan, time)) ?? plan;
  if (next !== undefined) {
    if (next.index > chain.reach + 1) throw await notKept(plan.time);
    await checkReaches(chain, next);
  } else if (time > plan.time) await checkHead(chain, head);
  return plan;
}

/** The same moment from an older snapshot, if it lies in the index of a snapshot that may already hold later pages. */
async function fromOlder(
  { reader, base }: Chain,
  { until, proof }: RestorePlan,
  time: number,
): Promise<RestorePlan | undefined> {
  if (proof !== undefined || until.index !== base.index) return undefined;
  const older = chainOfOlder(reader, base, base.index);
  return older && planFound(older, await older.newestAt(time));
}

/**
 * WAL that stands before the first snapshot of its generation, and is not given up by retention: the snapshot that it
 * follows is missing. Undefined if there is none. Time in milliseconds since 1970.
 */
async function begunBefore(
  reader: GenerationReader,
): Promise<{ readonly time: number; readonly segment: SegmentRef } | undefined> {
  const { snapshots, segments } = reader.generation;
  const segment = segments[0];
  if (segment === undefined || segment.index < reader.floor) return undefined;
  if (snapshots[0] !== undefined && snapshots[0].index <= segment.index) return undefined;
  const header = await reader.header(segment);
  return header && { time: header.before.time, segment };
}

function snapshotMissing(reader: GenerationReader, { index }: SegmentRef): SeawallError {
  const { id } = reader.generation;
  const position = reader.position({ index, offset: 0 });
  const message = `the snapshot at ${position} is missing, so what generation ${id} holds of that time cannot be restored`;
  return corrupt('SNAPSHOT_MISSING', message, { position });
}

/** The generation that was current at a time, and when the one after it began. */
async function generationAt(
  store: Store,
  readers: readonly GenerationReader[],
  time: number,
): Promise<{ readonly reader: GenerationReader; readonly later: number | undefined }> {
  let later: number | undefined;
  for (const reader of readers.toReversed()) {
    const first = reader.generation.snapshots[0];
    const begun = await begunBefore(reader);
    if (
      begun !== undefined &&
      begun.time <= time &&
      (first === undefined || time < (await reader.snapshotTime(first)))
    ) {
      throw snapshotMissing(reader, begun.segment);
    }
    if (first === undefined) continue;
    const start = await reader.snapshotTime(first);
    if (start <= time) return { reader, later };
    later = Math.min(later ?? start, start);
  }
  if (later === undefined) throw nothingRestorable(store);
  throw point('POINT_BEFORE_FIRST', `${formatTime(time)} lies before the first state that is kept`, {
    after: formatTime(later),
  });
}

/** The newest snapshot at or before a time, and the one after it. The first one is known to be at or before. */
async function snapshotsAround(
  reader: GenerationReader,
  time: number,
): Promise<{ readonly base: SnapshotRef; readonly next: SnapshotRef | undefined }> {
  const { snapshots } = reader.generation;
  let low = 0;
  let high = snapshots.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((await reader.snapshotTime(snapshots[middle]!)) <= time) low = middle;
    else high = middle;
  }
  return { base: snapshots[low]!, next: snapshots[low + 1] };
}

/** WAL that ends just before a snapshot must lead to its state; otherwise the WAL's last segments are missing. */
async function checkReaches(chain: Chain, next: SnapshotRef): Promise<void> {
  const facts = await chain.reader.snapshotFacts(next);
  const { state } = await chain.end();
  if (facts === undefined || state === undefined || sameState(facts, state)) return;
  const position = chain.reader.position({ index: next.index, offset: 0 });
  throw corrupt('WAL_GAP', `WAL is missing before ${position}: what is there does not lead to that snapshot`, {
    position,
  });
}

/** The plan for a place that a search in the chain found. */
async function planFound(chain: Chain, found: Found): Promise<RestorePlan> {
  if (found.kind === 'snapshot') return planSnapshot(chain.reader, chain.base);
  const { index } = found.segment;
  if (found.kind === 'foreign') {
    const offset = found.next?.index === index ? found.next.offset : TO_THE_END;
    return planUntil(chain, { index, offset }, undefined, found.segment.lastModified);
  }
  const { mark } = found;
  const proof = { offset: mark.offset, state: mark };
  return planUntil(chain, { index, offset: mark.offset }, proof, mark.time);
}

function planUntil(
  { reader, base, indexes }: Chain,
  until: RestorePlan['until'],
  proof: RestorePlan['proof'],
  time: number,
): RestorePlan {
  // Segments after the proof are not needed, and need not be readable.
  const end = proof === undefined ? until.offset : Math.max(until.offset, proof.offset);
  const needed = indexes
    .filter(({ index }) => index <= until.index)
    .map((entry) =>
      entry.index < until.index ? entry : { ...entry, segments: entry.segments.filter(({ offset }) => offset < end) },
    );
  return { generation: reader.generation, snapshot: base, indexes: needed, until, proof, time };
}

/** The state that a snapshot holds. */
export async function planSnapshot(reader: GenerationReader, snapshot: SnapshotRef): Promise<RestorePlan> {
  const facts = await reader.snapshotFacts(snapshot);
  const until = { index: snapshot.index, offset: 0 };
  const proof = facts === undefined ? undefined : { offset: 0, state: facts };
  const time = facts?.time ?? snapshot.lastModified;
  return { generation: reader.generation, snapshot, indexes: [], until, proof, time };
}

function placeOf(base: SnapshotRef, found: Found): Place {
  if (found.kind === 'mark') return { index: found.segment.index, offset: found.mark.offset };
  if (found.kind === 'foreign') return found.segment;
  return { index: base.index, offset: 0 };
}

/** The error for a place inside the chain's last index at which no restorable commit ends. */
async function notACommit(chain: Chain, name: string, until: Place): Promise<SeawallError> {
  const { reader, base } = chain;
  const before = placeOf(base, await chain.newestBefore(until));
  const after = await chain.oldestFrom(until);
  return point('POINT_NOT_A_COMMIT', `${name} is not the end of a commit that can be restored`, {
    before: reader.position(before),
    ...(after && { after: reader.position(after) }),
  });
}

function reachedByHead(head: FoundHead | undefined, generation: Generation, place: Place): boolean {
  return head?.position.generation === generation.id && comparePlaces(head.position, place) >= 0;
}

/** The head remembers how far the replica reached: only it shows that segments vanished from the end. */
async function checkHead(chain: Chain, head: FoundHead | undefined): Promise<void> {
  if (head?.position.generation !== chain.reader.generation.id) return;
  const end = await chain.end();
  if (comparePlaces(head.position, end) <= 0) return;
  const sealed = head.position.offset === 0 && head.position.index === end.index + 1;
  if (sealed && (end.state === undefined || sameState(end.state, { ...head, time: head.committed }))) return;
  throw corrupt('HEAD_BEYOND_SEGMENTS', 'segments are missing at the end: the head names a later position', {
    key: HEAD_KEY,
    expected: formatPosition(head.position),
    actual: chain.reader.position(end),
  });
}

function nothingRestorable(store: Store): SeawallError {
  return new SeawallError(
    'missing',
    'NO_SNAPSHOT',
    `the replica at ${store.url} has no snapshot yet, so nothing can be restored`,
  );
}
