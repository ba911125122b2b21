/** Every object that the retention planner decides about, with the times that matter. */
import type { Floors } from '../catalogue/floors.ts';
import { segmentKey, snapshotKey } from '../terms/layout.ts';
import { comparePlaces } from '../terms/position.ts';
import type { Store } from '../store/store.ts';
import { snapshotTime } from '../catalogue/generation.ts';
import type { Timeline } from '../catalogue/timeline.ts';

/** One snapshot. */
export interface StockedSnapshot {
  /** Key of the object, relative to the replica. */
  readonly key: string;
  /** The snapshot is the state at the start of this WAL index. */
  readonly index: number;
  /** Stored bytes. */
  readonly size: number;
  /** When the state it holds was captured, milliseconds since 1970. */
  readonly time: number;
  /** When the object was written, by the store's clock. */
  readonly lastModified: number;
}

/** One segment of WAL. */
export interface StockedSegment {
  /** Key of the object, relative to the replica. */
  readonly key: string;
  /** WAL index. */
  readonly index: number;
  /** The byte of that WAL file at which the segment begins. */
  readonly offset: number;
  /** Stored bytes. */
  readonly size: number;
  /** When the object was written, by the store's clock, milliseconds since 1970. */
  readonly lastModified: number;
}

/** One generation, with the times of its snapshots. */
export interface StockedGeneration {
  /** Sixteen lowercase hex digits. */
  readonly id: string;
  /** By index. */
  readonly snapshots: readonly StockedSnapshot[];
  /** By index and offset. */
  readonly segments: readonly StockedSegment[];
}

/** What {@link planRetention} decides about. {@link takeInventory} makes it of a timeline. */
export interface Inventory {
  /** Oldest first. */
  readonly generations: readonly StockedGeneration[];
  /** The generation that restores of the latest state follow. */
  readonly current: string | undefined;
  /** Generations that the claim or the head names: in use, whatever they hold. */
  readonly named: ReadonlySet<string>;
  /** What retention gave up before. */
  readonly floors: Floors;
}

/** Reads the times of all snapshots (one small request each). Throws `corrupt` if a snapshot cannot be dated. */
export async function takeInventory(store: Store, timeline: Timeline): Promise<Inventory> {
  const generations: StockedGeneration[] = [];
  for (const { id, snapshots, segments, strays = [] } of timeline.generations) {
    // Strays go with the WAL that they lie in.
    const objects = strays.length === 0 ? segments : [...segments, ...strays].sort(comparePlaces);
    const stocked: StockedSnapshot[] = [];
    for (const ref of snapshots) {
      const { index, codec, size, lastModified } = ref;
      const time = await snapshotTime(store, id, ref);
      stocked.push({ key: snapshotKey(id, index, codec), index, size, time, lastModified });
    }
    generations.push({
      id,
      snapshots: stocked,
      segments: objects.map(({ index, offset, codec, size, lastModified }) => ({
        key: segmentKey(id, index, offset, codec),
        index,
        offset,
        size,
        lastModified,
      })),
    });
  }
  const named = [timeline.claim?.generation, timeline.head?.position.generation].filter((id) => id !== undefined);
  return { generations, current: timeline.current?.id, named: new Set(named), floors: timeline.floors };
}
