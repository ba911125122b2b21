/** A generation: one line of history, from a snapshot of the whole database on. */
import { snapshotKey } from '../terms/layout.ts';
import { formatPosition, type Place } from '../terms/position.ts';
import { readSegmentHeader, type SegmentRef } from '../objects/segment-reader.ts';
import { readSnapshotFacts, type SnapshotRef } from '../objects/snapshot-reader.ts';
import type { Store } from '../store/store.ts';

/** One line of history: a snapshot of the whole database, and the WAL that follows it. */
export interface Generation {
  /** Sixteen lowercase hex digits, chosen at random. */
  readonly id: string;
  /** By index, ascending. */
  readonly snapshots: readonly SnapshotRef[];
  /** By index and offset, ascending. */
  readonly segments: readonly SegmentRef[];
  /** Segments at places that belong to another object, or that continue one of these: no part of the history. */
  readonly strays?: readonly SegmentRef[];
}

/** When a generation began, and who says so. */
export interface Start {
  /** Milliseconds since 1970. */
  readonly time: number;
  /** Its oldest object is another program's: the time is that of the store's clock. */
  readonly isForeign: boolean;
}

/** The time of the oldest thing in a generation: what its objects say, else what the store says of them. */
export async function startOf(store: Store, { id, snapshots, segments }: Generation): Promise<Start> {
  const [snapshot] = snapshots;
  const [segment] = segments;
  const time =
    snapshot !== undefined
      ? (await readSnapshotFacts(store, id, snapshot))?.time
      : segment && (await readSegmentHeader(store, id, segment))?.before.time;
  return { time: time ?? (snapshot ?? segment)?.lastModified ?? 0, isForeign: time === undefined };
}

/** The time of the state a snapshot holds. */
export async function snapshotTime(store: Store, generation: string, snapshot: SnapshotRef): Promise<number> {
  return (await readSnapshotFacts(store, generation, snapshot))?.time ?? snapshot.lastModified;
}

/** The segments of one index. */
export function segmentsOf(generation: Generation, index: number): readonly SegmentRef[] {
  const first = lowerBound(generation.segments, index);
  const end = lowerBound(generation.segments, index + 1);
  return generation.segments.slice(first, end);
}

/** The newest snapshot at or before an index. */
export function snapshotAtOrBefore(generation: Generation, index: number): SnapshotRef | undefined {
  return generation.snapshots.findLast((snapshot) => snapshot.index <= index);
}

/** How a place in a generation is written, as `formatPosition` does; of an object, where it begins. */
export function positionIn({ id }: Pick<Generation, 'id'>, { index, offset }: Place): string {
  return formatPosition({ generation: id, index, offset });
}

/** The key of one of its snapshots. */
export function keyOfSnapshot(generation: Generation, snapshot: SnapshotRef): string {
  return snapshotKey(generation.id, snapshot.index, snapshot.codec);
}

/** When its newest object was written, by the store's clock, milliseconds since 1970. */
export function lastWritten({ snapshots, segments }: Generation): number {
  return newestOf([...snapshots, ...segments]);
}

/** The same without snapshots that were made of what was there already, by compaction, whenever that ran. */
export function lastShipped({ snapshots, segments }: Generation): number {
  return newestOf([...snapshots.slice(0, 1), ...segments]);
}

function newestOf(objects: readonly { readonly lastModified: number }[]): number {
  return objects.reduce((newest, { lastModified }) => Math.max(newest, lastModified), 0);
}

function lowerBound(segments: readonly SegmentRef[], index: number): number {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (segments[middle]!.index < index) low = middle + 1;
    else high = middle;
  }
  return low;
}
