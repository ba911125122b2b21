/**
 * The restore plan: which snapshot and which segments make the state at a point, and what proves it.
 *
 * An unreachable point is an error that names the nearest reachable ones before and after; never an older state
 * passed off as the one that was asked for.
 */
import { chainFrom, ChainReader, reachOf, sameState, walGap, type ChainIndex, type Found } from './chain.ts';
import { baseFor, olderBase } from './early-base.ts';
import { corrupt, point, SeawallError } from '../terms/errors.ts';
import type { ParsedSegmentHeader } from '../format/segment.ts';
import type { DatabaseState } from '../terms/database-state.ts';
import { HEAD_KEY, segmentKey } from '../terms/layout.ts';
import { comparePlaces, formatPosition } from '../terms/position.ts';
import type { SegmentRef } from '../objects/segment-reader.ts';
import { readSnapshotFacts, type SnapshotRef } from '../objects/snapshot-reader.ts';
import type { Store } from '../store/store.ts';
import { formatTime, type Target } from '../terms/target.ts';
import { snapshotAtOrBefore, snapshotTime, type Generation } from '../catalogue/generation.ts';
import type { Timeline } from '../catalogue/timeline.ts';

/** Stands for "to the end of the index" where the exact byte is not known from the listing. */
const TO_THE_END = Number.MAX_SAFE_INTEGER;

export interface RestorePlan {
  readonly generation: Generation;
  readonly snapshot: SnapshotRef;
  /** The indexes to replay, ascending and without gaps; empty when the snapshot alone is the state. */
  readonly indexes: readonly ChainIndex[];
  /** Frames of `index` before `offset` are applied; all older ones too. */
  readonly until: { readonly index: number; readonly offset: number };
  /** A recorded state at or after `until`, in the same index, that the frames must lead to; the restore's proof. */
  readonly proof: { readonly offset: number; readonly state: DatabaseState } | undefined;
  /** When the state was captured, milliseconds since 1970; by the store's clock where nothing recorded it. */
  readonly time: number;
}

/**
 * Decides how to restore `target`. Throws `point` when it cannot be reached, `missing` when nothing can, and `corrupt`
 * when an object that should be there is not.
 */
export async function planRestore(store: Store, timeline: Timeline, target: Target): Promise<RestorePlan> {
  switch (target.kind) {
    case 'latest': {
      const generation = timeline.current;
      if (generation === undefined) throw nothingRestorable(store);
      const { plan, reader } = await latestIn(store, generation);
      await checkHead(timeline, generation, reader);
      return plan;
    }
    case 'time':
      return planTime(store, timeline, target.time);
    case 'position': {
      const { generation: id, index, offset } = target.position;
      const generation = timeline.generations.find((each) => each.id === id);
      if (generation === undefined) {
        throw point('POINT_UNKNOWN_GENERATION', `the replica has no generation ${id}`, {});
      }
      return planPosition(store, timeline, generation, { index, offset });
    }
    case 'txid':
      throw point('POINT_OF_OTHER_FORMAT', 'only replicas of Litestream 0.5 count transactions; name a position', {});
  }
}

/** The newest state of one generation. */
export async function planLatest(store: Store, generation: Generation): Promise<RestorePlan> {
  return (await latestIn(store, generation)).plan;
}

async function latestIn(
  store: Store,
  generation: Generation,
): Promise<{ readonly plan: RestorePlan; readonly reader: ChainReader }> {
  const snapshot = generation.snapshots.at(-1);
  if (snapshot === undefined) throw nothingRestorable(store);
  const chain = chainFrom(generation, snapshot);
  const behind = generation.segments.at(-1);
  const reach = reachOf(chain, snapshot);
  if (behind !== undefined && behind.index > reach) {
    const key = segmentKey(generation.id, behind.index, behind.offset, behind.codec);
    const position = formatPosition({ generation: generation.id, index: reach + 1, offset: 0 });
    throw corrupt('WAL_GAP', `WAL index ${reach + 1} is missing before it, so the latest state cannot be restored`, {
      key,
      position,
      before: position,
    });
  }
  const reader = new ChainReader(store, generation, snapshot, chain);
  const found = await reader.newestAt(Number.POSITIVE_INFINITY);
  return { plan: await planFound(store, generation, snapshot, chain, found), reader };
}

async function planPosition(
  store: Store,
  timeline: Timeline,
  generation: Generation,
  wanted: { readonly index: number; readonly offset: number },
): Promise<RestorePlan> {
  const { index, offset } = wanted;
  const name = formatPosition({ generation: generation.id, ...wanted });
  const floor = timeline.floors.get(generation.id) ?? 0;
  const newest = snapshotAtOrBefore(generation, index);
  if (newest === undefined) {
    const first = generation.snapshots[0];
    throw point('POINT_BEFORE_FIRST', `${name} lies before the first snapshot that is kept`, {
      ...(first && { after: formatPosition({ generation: generation.id, index: first.index, offset: 0 }) }),
    });
  }
  const base = await baseFor(store, generation, floor, newest, wanted);
  if (base.index === index && offset === 0) return planSnapshot(store, generation, base);
  const last = offset === 0 ? index - 1 : index;
  const until = offset === 0 ? TO_THE_END : offset;
  const whole = promised(chainFrom(generation, base), base, floor);
  const reader = new ChainReader(store, generation, base, whole);
  const ended = newest.index === index || reachOf(whole, base) >= index || reachedByHead(timeline, generation, wanted);
  const chain = whole.filter((entry) => entry.index <= last);
  if (reachOf(chain, base) < last || (offset === 0 && !ended)) {
    const before = placeOf(base, await reader.newestBefore(last, until));
    const after = generation.snapshots.find((snapshot) => snapshot.index > base.index && snapshot.index >= index);
    throw point('POINT_NOT_KEPT', `${name} cannot be restored: the WAL before it is not there, or not yet`, {
      before: formatPosition({ generation: generation.id, ...before }),
      ...(after && { after: formatPosition({ generation: generation.id, index: after.index, offset: 0 }) }),
    });
  }
  const { segments } = chain.at(-1)!;
  const holding = segments.findLast((segment) => segment.offset < until)!;
  const headers = await headersFrom(reader, segments, holding);
  if (headers === undefined) {
    return finish(generation, base, chain, { index: last, offset: until }, undefined, holding.lastModified);
  }
  const marks = headers.flatMap((header) => header.marks);
  const proof = until === TO_THE_END ? marks.at(-1) : marks.find((mark) => mark.offset >= until);
  if (proof?.restorable !== true)
    throw await notACommit(reader, generation, base, name, { index: last, offset: until });
  const following = offset === 0 ? whole.find((entry) => entry.index === index)?.segments[0] : undefined;
  if (following !== undefined) {
    // The end of an index is where the next one goes on; short of that, segments are missing.
    const next = await reader.header(following);
    if (next !== undefined && !sameState(next.before, proof)) throw walGap(generation.id, following);
  }
  const place = { index: last, offset: until === TO_THE_END ? proof.offset : until };
  return finish(generation, base, chain, place, { offset: proof.offset, state: proof }, proof.time);
}

/** WAL below the floor may end anywhere, so what stands above it does not continue it. */
function promised(chain: readonly ChainIndex[], base: SnapshotRef, floor: number): readonly ChainIndex[] {
  return base.index < floor ? chain.filter(({ index }) => index < floor) : chain;
}

/** The headers from a segment on, up to and with the first that names a commit. */
async function headersFrom(
  reader: ChainReader,
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

async function planTime(store: Store, timeline: Timeline, time: number): Promise<RestorePlan> {
  const { generation, later } = await generationAt(store, timeline, time);
  const { base, next } = await snapshotsAround(store, generation, time);
  const after = async (): Promise<string | undefined> => {
    if (next !== undefined) return formatTime(await snapshotTime(store, generation.id, next));
    return later === undefined ? undefined : formatTime(later);
  };
  const notKept = async (newest: number): Promise<SeawallError> => {
    const near = await after();
    return point('POINT_NOT_KEPT', `${formatTime(time)} cannot be restored: the WAL of that time is no longer kept`, {
      before: formatTime(newest),
      ...(near !== undefined && { after: near }),
    });
  };
  if (base.index < (timeline.floors.get(generation.id) ?? 0)) {
    // Retention took the WAL behind this snapshot, or is about to: only its own moment is left.
    const plan = await planSnapshot(store, generation, base);
    if (plan.time < time) throw await notKept(plan.time);
    return plan;
  }
  const chain = chainFrom(generation, base);
  const reader = new ChainReader(store, generation, base, chain);
  const found = await reader.newestAt(time);
  const plan = await planFound(store, generation, base, chain, found);
  if (!found.last) return (await fromOlder(store, timeline, generation, base, plan, time)) ?? plan;
  if (next !== undefined) {
    if (next.index > reachOf(chain, base) + 1) throw await notKept(plan.time);
    await checkReaches(store, generation, reader, next);
  } else if (time > plan.time) await checkHead(timeline, generation, reader);
  return plan;
}

/** The same moment from an older snapshot on, where it lies in the index of one that may hold later pages already. */
async function fromOlder(
  store: Store,
  timeline: Timeline,
  generation: Generation,
  base: SnapshotRef,
  { until, proof }: RestorePlan,
  time: number,
): Promise<RestorePlan | undefined> {
  if (proof !== undefined || until.index !== base.index) return undefined;
  const older = olderBase(generation, timeline.floors.get(generation.id) ?? 0, base, base.index);
  if (older === undefined) return undefined;
  const chain = chainFrom(generation, older);
  return planFound(
    store,
    generation,
    older,
    chain,
    await new ChainReader(store, generation, older, chain).newestAt(time),
  );
}

/** The generation that was current at a time, and when the one after it began. */
async function generationAt(
  store: Store,
  timeline: Timeline,
  time: number,
): Promise<{ readonly generation: Generation; readonly later: number | undefined }> {
  let later: number | undefined;
  for (const generation of timeline.generations.toReversed()) {
    const first = generation.snapshots[0];
    if (first === undefined) continue;
    const start = await snapshotTime(store, generation.id, first);
    if (start <= time) return { generation, later };
    later = Math.min(later ?? start, start);
  }
  if (later === undefined) throw nothingRestorable(store);
  throw point('POINT_BEFORE_FIRST', `${formatTime(time)} lies before the first state that is kept`, {
    after: formatTime(later),
  });
}

/** The newest snapshot at or before a time, and the one after it. The first one is known to be at or before. */
async function snapshotsAround(
  store: Store,
  generation: Generation,
  time: number,
): Promise<{ readonly base: SnapshotRef; readonly next: SnapshotRef | undefined }> {
  const { snapshots } = generation;
  let low = 0;
  let high = snapshots.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((await snapshotTime(store, generation.id, snapshots[middle]!)) <= time) low = middle;
    else high = middle;
  }
  return { base: snapshots[low]!, next: snapshots[low + 1] };
}

/** WAL that ends just before a snapshot must lead to it; otherwise its last segments are missing. */
async function checkReaches(
  store: Store,
  generation: Generation,
  reader: ChainReader,
  next: SnapshotRef,
): Promise<void> {
  const facts = await readSnapshotFacts(store, generation.id, next);
  const { state } = await reader.end();
  if (facts === undefined || state === undefined || sameState(facts, state)) return;
  const position = formatPosition({ generation: generation.id, index: next.index, offset: 0 });
  throw corrupt('WAL_GAP', `WAL is missing before ${position}: what is there does not lead to that snapshot`, {
    position,
  });
}

async function planFound(
  store: Store,
  generation: Generation,
  base: SnapshotRef,
  chain: readonly ChainIndex[],
  found: Found,
): Promise<RestorePlan> {
  if (found.kind === 'snapshot') return planSnapshot(store, generation, base);
  const { index } = found.segment;
  const indexes = chain.filter((entry) => entry.index <= index);
  if (found.kind === 'foreign') {
    const offset = found.next?.index === index ? found.next.offset : TO_THE_END;
    return finish(generation, base, indexes, { index, offset }, undefined, found.segment.lastModified);
  }
  const { mark } = found;
  const proof = { offset: mark.offset, state: mark };
  return finish(generation, base, indexes, { index, offset: mark.offset }, proof, mark.time);
}

function finish(
  generation: Generation,
  snapshot: SnapshotRef,
  indexes: readonly ChainIndex[],
  until: RestorePlan['until'],
  proof: RestorePlan['proof'],
  time: number,
): RestorePlan {
  // Segments behind the proof are not needed, and need not be readable.
  const end = proof === undefined ? until.offset : Math.max(until.offset, proof.offset);
  const needed = indexes.map((entry) =>
    entry.index < until.index ? entry : { ...entry, segments: entry.segments.filter(({ offset }) => offset < end) },
  );
  return { generation, snapshot, indexes: needed, until, proof, time };
}

/** The state that a snapshot holds. */
export async function planSnapshot(store: Store, generation: Generation, snapshot: SnapshotRef): Promise<RestorePlan> {
  const facts = await readSnapshotFacts(store, generation.id, snapshot);
  const until = { index: snapshot.index, offset: 0 };
  const proof = facts === undefined ? undefined : { offset: 0, state: facts };
  return { generation, snapshot, indexes: [], until, proof, time: facts?.time ?? snapshot.lastModified };
}

function placeOf(base: SnapshotRef, found: Found): { readonly index: number; readonly offset: number } {
  if (found.kind === 'mark') return { index: found.segment.index, offset: found.mark.offset };
  if (found.kind === 'foreign') return { index: found.segment.index, offset: found.segment.offset };
  return { index: base.index, offset: 0 };
}

async function notACommit(
  reader: ChainReader,
  generation: Generation,
  base: SnapshotRef,
  name: string,
  until: RestorePlan['until'],
): Promise<SeawallError> {
  const before = placeOf(base, await reader.newestBefore(until.index, until.offset));
  const after = await reader.oldestFrom(until.index, until.offset);
  return point('POINT_NOT_A_COMMIT', `${name} is not the end of a commit that can be restored`, {
    before: formatPosition({ generation: generation.id, ...before }),
    ...(after && { after: formatPosition({ generation: generation.id, ...after }) }),
  });
}

function reachedByHead(timeline: Timeline, generation: Generation, place: RestorePlan['until']): boolean {
  const { head } = timeline;
  return head?.position.generation === generation.id && comparePlaces(head.position, place) >= 0;
}

/** The head remembers how far the replica reached; segments that vanished from its end are seen by it alone. */
async function checkHead(timeline: Timeline, generation: Generation, reader: ChainReader): Promise<void> {
  const { head } = timeline;
  if (head?.position.generation !== generation.id) return;
  const end = await reader.end();
  if (comparePlaces(head.position, end) <= 0) return;
  const sealed = head.position.offset === 0 && head.position.index === end.index + 1;
  if (sealed && (end.state === undefined || sameState(end.state, { ...head, time: head.committed }))) return;
  throw corrupt('HEAD_BEYOND_SEGMENTS', 'segments are missing at the end: the head names a later position', {
    key: HEAD_KEY,
    expected: formatPosition(head.position),
    actual: formatPosition({ generation: generation.id, index: end.index, offset: end.offset }),
  });
}

function nothingRestorable(store: Store): SeawallError {
  return new SeawallError(
    'missing',
    'NO_SNAPSHOT',
    `the replica at ${store.url} has no snapshot yet, so nothing can be restored`,
  );
}
