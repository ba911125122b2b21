/** Snapshots of another program's that may hold more than their name says, and what to restore from instead. */
import { chainFrom, reachOf } from './chain.ts';
import { point } from '../terms/errors.ts';
import { formatPosition } from '../terms/position.ts';
import type { SegmentRef } from '../objects/segment-reader.ts';
import { readSnapshotFacts, type SnapshotRef } from '../objects/snapshot-reader.ts';
import type { Store } from '../store/store.ts';
import { segmentsOf, type Generation } from '../catalogue/generation.ts';

/**
 * What a position is restored from. Litestream copies the database file while WAL index N goes on, so its snapshot N may
 * hold pages of that index, up to a place that nothing tells. For a point in there the WAL is replayed from an older
 * snapshot on; without one, a point is taken only if it was uploaded after the snapshot.
 */
export async function baseFor(
  store: Store,
  generation: Generation,
  floor: number,
  snapshot: SnapshotRef,
  { index, offset }: { readonly index: number; readonly offset: number },
): Promise<SnapshotRef> {
  if (snapshot.index < index || (await readSnapshotFacts(store, generation.id, snapshot)) !== undefined)
    return snapshot;
  const older = olderBase(generation, floor, snapshot, offset === 0 ? index - 1 : index);
  if (older !== undefined) return older;
  const segments = segmentsOf(generation, index);
  const isLater = ({ lastModified }: SegmentRef): boolean => lastModified > snapshot.lastModified;
  const holding = offset === 0 ? segments[0] : segments.findLast((segment) => segment.offset < offset);
  if (holding === undefined || isLater(holding)) return snapshot;
  const name = formatPosition({ generation: generation.id, index, offset });
  const behind = segments[segments.findIndex(isLater) + 1];
  const after = isLater(segments.at(-1)!) && behind !== undefined ? behind : firstOf(generation, index + 1);
  throw point('POINT_NOT_TOLD', `${name} lies in the WAL index of a snapshot that may hold later pages already`, {
    ...(after && { after: formatPosition({ generation: generation.id, index: after.index, offset: after.offset }) }),
  });
}

/** The snapshot before another one, if the WAL leads from it to the end of index `reach`. */
export function olderBase(
  generation: Generation,
  floor: number,
  snapshot: SnapshotRef,
  reach: number,
): SnapshotRef | undefined {
  const older = generation.snapshots.findLast((each) => each.index < snapshot.index);
  if (older === undefined || older.index < floor) return undefined;
  return reachOf(chainFrom(generation, older), older) >= reach ? older : undefined;
}

function firstOf(generation: Generation, index: number): SegmentRef | undefined {
  return generation.segments.find((segment) => segment.index === index && segment.offset === 0);
}
