/** One generation of a replica, read for planning: its listed objects, and what their headers say. */
import { positionIn, segmentsOf, type Generation } from '../catalogue/generation.ts';
import type { ParsedSegmentHeader } from '../format/segment.ts';
import type { SnapshotFacts } from '../format/snapshot.ts';
import { readSegmentHeader, type SegmentRef } from '../objects/segment-reader.ts';
import { readSnapshotFacts, type SnapshotRef } from '../objects/snapshot-reader.ts';
import type { Store } from '../store/store.ts';
import type { Place } from '../terms/position.ts';

/** All segments of one WAL index, by offset. */
export interface ChainIndex {
  readonly index: number;
  readonly segments: readonly SegmentRef[];
}

/** Reads only headers, and each of them once. What it throws is what `readSnapshotFacts` and `readSegmentHeader` throw. */
export class GenerationReader {
  readonly store: Store;
  readonly generation: Generation;
  /** The first index whose WAL is kept; see `Floors`. */
  readonly floor: number;
  readonly #facts = new Map<SnapshotRef, SnapshotFacts | undefined>();
  readonly #headers = new Map<SegmentRef, ParsedSegmentHeader | undefined>();

  constructor(store: Store, generation: Generation, floor = 0) {
    this.store = store;
    this.generation = generation;
    this.floor = floor;
  }

  /** The facts at the start of a snapshot; undefined if another program wrote it. */
  async snapshotFacts(snapshot: SnapshotRef): Promise<SnapshotFacts | undefined> {
    if (!this.#facts.has(snapshot)) {
      this.#facts.set(snapshot, await readSnapshotFacts(this.store, this.generation.id, snapshot));
    }
    return this.#facts.get(snapshot);
  }

  /** When a snapshot's state was captured, milliseconds since 1970; by the store's clock if nothing recorded it. */
  async snapshotTime(snapshot: SnapshotRef): Promise<number> {
    return (await this.snapshotFacts(snapshot))?.time ?? snapshot.lastModified;
  }

  /** The header of a segment; undefined if another program wrote it. */
  async header(segment: SegmentRef): Promise<ParsedSegmentHeader | undefined> {
    if (!this.#headers.has(segment)) {
      this.#headers.set(segment, await readSegmentHeader(this.store, this.generation.id, segment));
    }
    return this.#headers.get(segment);
  }

  /** The WAL that follows a snapshot without a missing index, ascending. */
  chainFrom(snapshot: SnapshotRef): readonly ChainIndex[] {
    const chain: ChainIndex[] = [];
    for (let index = snapshot.index; ; index++) {
      const segments = segmentsOf(this.generation, index);
      if (segments[0]?.offset !== 0) return chain;
      chain.push({ index, segments });
    }
  }

  /** How a place in this generation is written. */
  position(place: Place): string {
    return positionIn(this.generation, place);
  }
}
