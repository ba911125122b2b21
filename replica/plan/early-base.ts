/** Snapshots of another program that may hold more than their name says, and what to restore from instead. */
import { Chain } from './chain.ts';
import type { GenerationReader } from './generation-reader.ts';
import { point } from '../terms/errors.ts';
import type { Place } from '../terms/position.ts';
import type { SegmentRef } from '../objects/segment-reader.ts';
import type { SnapshotRef } from '../objects/snapshot-reader.ts';
import { segmentsOf, type Generation } from '../catalogue/generation.ts';

/**
 * The snapshot that a position is restored from: `snapshot` or the one before it.
 *
 * Litestream copies the database file while WAL index N goes on, so its snapshot N may hold pages of that index, up to
 * a place that nothing records. For a point in that index the WAL is replayed from an older snapshot. If there is no
 * older one, the point is accepted only if it was uploaded after the snapshot. Throws `point` (POINT_NOT_TOLD).
 */
export async function baseFor(reader: GenerationReader, snapshot: SnapshotRef, wanted: Place): Promise<SnapshotRef> {
  const { index, offset } = wanted;
  if (snapshot.index < index || (await reader.snapshotFacts(snapshot)) !== undefined) return snapshot;
  const older = chainOfOlder(reader, snapshot, offset === 0 ? index - 1 : index);
  if (older !== undefined) return older.base;
  const { generation } = reader;
  const segments = segmentsOf(generation, index);
  const isLater = ({ lastModified }: SegmentRef): boolean => lastModified > snapshot.lastModified;
  const holding = offset === 0 ? segments[0] : segments.findLast((segment) => segment.offset < offset);
  if (holding === undefined || isLater(holding)) return snapshot;
  const behind = segments[segments.findIndex(isLater) + 1];
  const after = isLater(segments.at(-1)!) && behind !== undefined ? behind : firstOf(generation, index + 1);
  const name = reader.position(wanted);
  throw point('POINT_NOT_TOLD', `${name} lies in the WAL index of a snapshot that may already hold later pages`, {
    ...(after && { after: reader.position(after) }),
  });
}

/** The chain from the snapshot before another one, if its WAL is kept and reaches the end of index `reach`. */
export function chainOfOlder(reader: GenerationReader, snapshot: SnapshotRef, reach: number): Chain | undefined {
  const older = reader.generation.snapshots.findLast((each) => each.index < snapshot.index);
  if (older === undefined || older.index < reader.floor) return undefined;
  const chain = new Chain(reader, older);
  return chain.reach >= reach ? chain : undefined;
}

function firstOf(generation: Generation, index: number): SegmentRef | undefined {
  return generation.segments.find((segment) => segment.index === index && segment.offset === 0);
}
