/** Which moments of a generation can be restored: from where to where its history has no gap. */
import { Chain } from './chain.ts';
import { GenerationReader } from './generation-reader.ts';
import type { SnapshotRef } from '../objects/snapshot-reader.ts';
import type { Store } from '../store/store.ts';
import type { Generation } from '../catalogue/generation.ts';

export interface Moment {
  readonly position: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** Every commit from `first` to `last` can be restored. Both are the same if only a snapshot is left. */
export interface RestorableRange {
  readonly first: Moment;
  readonly last: Moment;
}

/**
 * The restorable ranges of one generation, oldest first. Reads only headers, so it does not prove that the objects
 * are sound. Throws `corrupt` if a header is damaged or WAL is missing inside a range.
 *
 * @param floor the first index whose WAL is kept; see `Floors`
 */
export async function restorableRanges(store: Store, generation: Generation, floor = 0): Promise<RestorableRange[]> {
  const reader = new GenerationReader(store, generation, floor);
  const ranges: RestorableRange[] = [];
  let open: Moment | undefined;
  for (const [i, snapshot] of generation.snapshots.entries()) {
    const own = await ownMoment(reader, snapshot);
    open ??= own;
    const chain = snapshot.index >= floor ? new Chain(reader, snapshot) : undefined;
    const next = generation.snapshots[i + 1];
    if (chain !== undefined && next !== undefined && chain.reach + 1 >= next.index) continue;
    ranges.push({ first: open, last: chain === undefined ? own : await newestMoment(chain, own) });
    open = undefined;
  }
  return ranges;
}

async function ownMoment(reader: GenerationReader, snapshot: SnapshotRef): Promise<Moment> {
  return {
    position: reader.position({ index: snapshot.index, offset: 0 }),
    time: await reader.snapshotTime(snapshot),
  };
}

async function newestMoment(chain: Chain, own: Moment): Promise<Moment> {
  const found = await chain.newestAt(Number.POSITIVE_INFINITY);
  if (found.kind === 'snapshot') return own;
  const { index, offset, lastModified } = found.segment;
  const place = found.kind === 'mark' ? found.mark : { offset, time: lastModified };
  return { position: chain.reader.position({ index, offset: place.offset }), time: place.time };
}
