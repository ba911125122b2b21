/** Which moments of a generation can be restored: from where to where its history is without a gap. */
import { chainFrom, ChainReader, reachOf } from './chain.ts';
import { formatPosition } from '../terms/position.ts';
import type { SnapshotRef } from '../objects/snapshot-reader.ts';
import type { Store } from '../store/store.ts';
import { snapshotTime, type Generation } from '../catalogue/generation.ts';

export interface Moment {
  readonly position: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** Every commit from `first` to `last` can be restored. Both are the same where only a snapshot is left. */
export interface RestorableRange {
  readonly first: Moment;
  readonly last: Moment;
}

/**
 * The restorable ranges of one generation, oldest first. Reads only headers, so it does not prove that the objects
 * are sound. Throws `corrupt` where a header is damaged or WAL does not follow on itself.
 *
 * @param floor the first index whose WAL is kept; see `Floors`
 */
export async function restorableRanges(store: Store, generation: Generation, floor = 0): Promise<RestorableRange[]> {
  const ranges: RestorableRange[] = [];
  let open: Moment | undefined;
  for (const [i, snapshot] of generation.snapshots.entries()) {
    const own = await ownMoment(store, generation, snapshot);
    open ??= own;
    const kept = snapshot.index >= floor;
    const chain = kept ? chainFrom(generation, snapshot) : [];
    const next = generation.snapshots[i + 1];
    if (kept && next !== undefined && reachOf(chain, snapshot) + 1 >= next.index) continue;
    const last = kept ? await newest(new ChainReader(store, generation, snapshot, chain), generation, own) : own;
    ranges.push({ first: open, last });
    open = undefined;
  }
  return ranges;
}

async function ownMoment(store: Store, generation: Generation, snapshot: SnapshotRef): Promise<Moment> {
  const position = formatPosition({ generation: generation.id, index: snapshot.index, offset: 0 });
  return { position, time: await snapshotTime(store, generation.id, snapshot) };
}

async function newest(reader: ChainReader, generation: Generation, own: Moment): Promise<Moment> {
  const found = await reader.newestAt(Number.POSITIVE_INFINITY);
  if (found.kind === 'snapshot') return own;
  const { index, offset, lastModified } = found.segment;
  const place = found.kind === 'mark' ? found.mark : { offset, time: lastModified };
  return { position: formatPosition({ generation: generation.id, index, offset: place.offset }), time: place.time };
}
