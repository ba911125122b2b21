/**
 * The restore plan: which snapshot and which segments make the state at a point, and what proves it.
 *
 * An unreachable point is an error that names the nearest reachable ones before and after; never an older state
 * passed off as the one that was asked for.
 */
import { corrupt, SeawallError } from './errors.ts';
import type { DatabaseState, Mark, ParsedSegmentHeader } from './format/segment.ts';
import { segmentKey, snapshotKey } from './layout.ts';
import { comparePlaces, formatPosition } from './position.ts';
import { readSegmentHeader, type SegmentRef } from './segment-reader.ts';
import { readSnapshotFacts, type SnapshotRef } from './snapshot-reader.ts';
import type { Store } from './store/store.ts';
import { formatTime, type Target } from './target.ts';
import { segmentsOf, snapshotAtOrBefore, snapshotTime, type Generation, type Timeline } from './timeline.ts';

/** Stands for "to the end of the index" where the exact byte is not known from the listing. */
export const TO_THE_END = Number.MAX_SAFE_INTEGER;

export interface RestorePlan {
  readonly generation: Generation;
  readonly snapshot: SnapshotRef;
  /** The indexes to replay, ascending and without gaps; empty when the snapshot alone is the state. */
  readonly indexes: readonly { readonly index: number; readonly segments: readonly SegmentRef[] }[];
  /** Frames of `index` before `offset` are applied; all older ones too. */
  readonly until: { readonly index: number; readonly offset: number };
  /** A recorded state at or after `until`, in the same index, that the frames must lead to; the restore's proof. */
  readonly proof: { readonly offset: number; readonly state: DatabaseState } | undefined;
  /** When the state was captured, milliseconds since 1970; by the store's clock where nothing recorded it. */
  readonly time: number;
}

export async function planRestore(store: Store, timeline: Timeline, target: Target): Promise<RestorePlan> {
  switch (target.kind) {
    case 'latest': {
      const generation = timeline.current;
      if (generation === undefined) throw nothingRestorable(store);
      const plan = await planLatest(store, generation);
      checkHead(timeline, plan);
      return plan;
    }
    case 'time':
      return planTime(store, timeline, target.time);
    case 'position': {
      const { position } = target;
      const generation = timeline.generations.find(({ id }) => id === position.generation);
      if (generation === undefined) {
        throw point('POINT_UNKNOWN_GENERATION', `the replica has no generation ${position.generation}`, {});
      }
      return planPosition(store, generation, position.index, position.offset);
    }
  }
}

/** The newest state of one generation. */
export async function planLatest(store: Store, generation: Generation): Promise<RestorePlan> {
  const snapshot = generation.snapshots.at(-1);
  if (snapshot === undefined) throw nothingRestorable(store);
  const chain = chainFrom(generation, snapshot);
  const behind = generation.segments.at(-1);
  const reach = chain.at(-1)?.index ?? snapshot.index - 1;
  if (behind !== undefined && behind.index > reach) {
    const key = segmentKey(generation.id, behind.index, behind.offset, behind.codec);
    const position = formatPosition({ generation: generation.id, index: reach + 1, offset: 0 });
    throw corrupt('WAL_GAP', `WAL index ${reach + 1} is missing before it, so the latest state cannot be restored`, {
      key,
      position,
      before: position,
    });
  }
  for (let i = chain.length - 1; i >= 0; i--) {
    const { index, segments } = chain[i]!;
    for (const segment of segments.toReversed()) {
      const header = await readSegmentHeader(store, generation.id, segment);
      if (header === undefined) {
        const indexes = chain.slice(0, i + 1);
        return finish(generation, snapshot, indexes, { index, offset: TO_THE_END }, undefined, segment.lastModified);
      }
      const mark = header.marks.findLast((candidate) => candidate.restorable);
      if (mark !== undefined) return atMark(generation, snapshot, chain.slice(0, i + 1), index, mark);
    }
  }
  return snapshotOnly(store, generation, snapshot);
}

async function planPosition(store: Store, generation: Generation, index: number, offset: number): Promise<RestorePlan> {
  const wanted = formatPosition({ generation: generation.id, index, offset });
  const base = snapshotAtOrBefore(generation, index);
  if (base === undefined) {
    const first = generation.snapshots[0];
    throw point('POINT_BEFORE_FIRST', `${wanted} lies before the first snapshot that is kept`, {
      ...(first && { after: formatPosition({ generation: generation.id, index: first.index, offset: 0 }) }),
    });
  }
  if (base.index === index && offset === 0) return snapshotOnly(store, generation, base);
  const last = offset === 0 ? index - 1 : index;
  const chain = chainFrom(generation, base).filter((entry) => entry.index <= last);
  const until = offset === 0 ? TO_THE_END : offset;
  if ((chain.at(-1)?.index ?? base.index - 1) < last) {
    const nearest = await lastState(store, generation, base, chain);
    throw point(
      'POINT_NOT_KEPT',
      `${wanted} cannot be restored: WAL before it is not kept`,
      nearestFacts(generation, nearest, base, index),
    );
  }
  const { segments } = chain.at(-1)!;
  const holding = segments.findLast((segment) => segment.offset < until)!;
  const headers = await headersFrom(store, generation, segments, holding);
  if (headers === undefined) {
    return finish(generation, base, chain, { index: last, offset: until }, undefined, holding.lastModified);
  }
  const marks = headers.flatMap((header) => header.marks);
  const proof = until === TO_THE_END ? marks.at(-1) : marks.find((mark) => mark.offset >= until);
  if (proof?.restorable !== true) {
    const before = await lastState(store, generation, base, chain);
    throw point('POINT_NOT_A_COMMIT', `${wanted} is not the end of a commit that can be restored`, {
      before: formatPosition({ generation: generation.id, ...before.place }),
    });
  }
  const place = { index: last, offset: until === TO_THE_END ? proof.offset : until };
  return finish(generation, base, chain, place, { offset: proof.offset, state: proof }, proof.time);
}

async function planTime(store: Store, timeline: Timeline, time: number): Promise<RestorePlan> {
  const starts: { readonly generation: Generation; readonly start: number }[] = [];
  for (const generation of timeline.generations) {
    const first = generation.snapshots[0];
    if (first !== undefined) starts.push({ generation, start: await snapshotTime(store, generation.id, first) });
  }
  const at = starts.findLast(({ start }) => start <= time);
  if (at === undefined) {
    const first = starts[0];
    if (first === undefined) throw nothingRestorable(store);
    throw point('POINT_BEFORE_FIRST', `${formatTime(time)} lies before the first state that is kept`, {
      after: formatTime(first.start),
    });
  }
  const { generation } = at;
  let base = generation.snapshots[0]!;
  let next: SnapshotRef | undefined;
  for (const snapshot of generation.snapshots.slice(1)) {
    if ((await snapshotTime(store, generation.id, snapshot)) > time) {
      next = snapshot;
      break;
    }
    base = snapshot;
  }
  const chain = chainFrom(generation, base);
  const reach = chain.at(-1)?.index ?? base.index - 1;
  const plan = await lastBefore(store, generation, base, chain, time);
  const wholeChain = plan.chainEnd;
  if (wholeChain && next !== undefined && next.index > reach + 1) {
    throw point('POINT_NOT_KEPT', `${formatTime(time)} cannot be restored: the WAL of that time is no longer kept`, {
      before: formatTime(plan.plan.time),
      after: formatTime(await snapshotTime(store, generation.id, next)),
    });
  }
  return plan.plan;
}

/** The newest restorable state in a chain captured at or before `time`; `chainEnd` when nothing newer follows in it. */
async function lastBefore(
  store: Store,
  generation: Generation,
  base: SnapshotRef,
  chain: RestorePlan['indexes'],
  time: number,
): Promise<{ readonly plan: RestorePlan; readonly chainEnd: boolean }> {
  const all = chain.flatMap(({ segments }) => segments);
  const headers = new Map<SegmentRef, ParsedSegmentHeader | undefined>();
  const header = async (segment: SegmentRef): Promise<ParsedSegmentHeader | undefined> => {
    if (!headers.has(segment)) headers.set(segment, await readSegmentHeader(store, generation.id, segment));
    return headers.get(segment);
  };
  // The first segment that begins after `time`: everything newer is out of question.
  let low = 0;
  let high = all.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const segment = all[middle]!;
    const begins = (await header(segment))?.before.time ?? segment.lastModified;
    if (begins <= time) low = middle + 1;
    else high = middle;
  }
  for (let i = low - 1; i >= 0; i--) {
    const segment = all[i]!;
    const parsed = await header(segment);
    const indexes = chain.filter((entry) => entry.index <= segment.index);
    const chainEnd = i === all.length - 1;
    if (parsed === undefined) {
      if (segment.lastModified > time) continue;
      const end = all[i + 1];
      const offset = end?.index === segment.index ? end.offset : TO_THE_END;
      const place = { index: segment.index, offset };
      return { plan: finish(generation, base, indexes, place, undefined, segment.lastModified), chainEnd };
    }
    const mark = parsed.marks.findLast((candidate) => candidate.restorable && candidate.time <= time);
    if (mark !== undefined) {
      return {
        plan: atMark(generation, base, indexes, segment.index, mark),
        chainEnd: chainEnd && mark === parsed.marks.at(-1),
      };
    }
  }
  return { plan: await snapshotOnly(store, generation, base), chainEnd: all.length === 0 };
}

/** The indexes that follow a snapshot without a gap. */
export function chainFrom(generation: Generation, snapshot: SnapshotRef): RestorePlan['indexes'] {
  const chain: { index: number; segments: readonly SegmentRef[] }[] = [];
  for (let index = snapshot.index; ; index++) {
    const segments = segmentsOf(generation, index);
    if (segments[0]?.offset !== 0) return chain;
    chain.push({ index, segments });
  }
}

function atMark(
  generation: Generation,
  snapshot: SnapshotRef,
  indexes: RestorePlan['indexes'],
  index: number,
  mark: Mark,
): RestorePlan {
  return finish(
    generation,
    snapshot,
    indexes,
    { index, offset: mark.offset },
    { offset: mark.offset, state: mark },
    mark.time,
  );
}

function finish(
  generation: Generation,
  snapshot: SnapshotRef,
  indexes: RestorePlan['indexes'],
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

async function snapshotOnly(store: Store, generation: Generation, snapshot: SnapshotRef): Promise<RestorePlan> {
  const facts = await readSnapshotFacts(store, generation.id, snapshot);
  const until = { index: snapshot.index, offset: 0 };
  const proof = facts === undefined ? undefined : { offset: 0, state: facts };
  return { generation, snapshot, indexes: [], until, proof, time: facts?.time ?? snapshot.lastModified };
}

async function headersFrom(
  store: Store,
  generation: Generation,
  segments: readonly SegmentRef[],
  from: SegmentRef,
): Promise<ParsedSegmentHeader[] | undefined> {
  const headers: ParsedSegmentHeader[] = [];
  for (const segment of segments.slice(segments.indexOf(from))) {
    const header = await readSegmentHeader(store, generation.id, segment);
    if (header === undefined) return undefined;
    headers.push(header);
    if (header.marks.length > 0) break;
  }
  return headers;
}

async function lastState(
  store: Store,
  generation: Generation,
  base: SnapshotRef,
  chain: RestorePlan['indexes'],
): Promise<{ readonly place: { readonly index: number; readonly offset: number } }> {
  for (const { index, segments } of chain.toReversed()) {
    for (const segment of segments.toReversed()) {
      const mark = (await readSegmentHeader(store, generation.id, segment))?.marks.findLast((m) => m.restorable);
      if (mark !== undefined) return { place: { index, offset: mark.offset } };
    }
  }
  return { place: { index: base.index, offset: 0 } };
}

function nearestFacts(
  generation: Generation,
  nearest: { readonly place: { readonly index: number; readonly offset: number } },
  base: SnapshotRef,
  index: number,
): { readonly before: string; readonly after?: string } {
  const after = generation.snapshots.find((snapshot) => snapshot.index > Math.max(base.index, index - 1));
  return {
    before: formatPosition({ generation: generation.id, ...nearest.place }),
    ...(after && { after: formatPosition({ generation: generation.id, index: after.index, offset: 0 }) }),
  };
}

/** The head remembers how far the replica reached; segments that vanished from its end are seen by it alone. */
function checkHead(timeline: Timeline, plan: RestorePlan): void {
  const { head } = timeline;
  if (head?.position.generation !== plan.generation.id) return;
  if (comparePlaces(head.position, plan.until) <= 0) return;
  if (head.position.offset === 0 && head.position.index === plan.until.index + 1) return;
  throw corrupt('HEAD_BEYOND_SEGMENTS', 'segments are missing at the end: the head names a later position', {
    key: snapshotKey(plan.generation.id, plan.snapshot.index, plan.snapshot.codec),
    expected: formatPosition(head.position),
    actual: formatPosition({ generation: plan.generation.id, ...plan.until }),
  });
}

function point(
  code: string,
  message: string,
  near: { readonly before?: string; readonly after?: string },
): SeawallError {
  const before = near.before === undefined ? '' : ` Nearest before: ${near.before}.`;
  const after = near.after === undefined ? '' : ` Nearest after: ${near.after}.`;
  return new SeawallError('point', code, `${message}.${before}${after}`, near);
}

function nothingRestorable(store: Store): SeawallError {
  return new SeawallError(
    'missing',
    'NO_SNAPSHOT',
    `the replica at ${store.url} has no snapshot yet, so nothing can be restored`,
  );
}
