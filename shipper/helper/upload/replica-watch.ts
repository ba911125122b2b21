/**
 * Whether what was put into the bucket is there still: a snapshot, and the segments from it on.
 *
 * A look costs one HEAD (of the snapshot) and one LIST. Of many segments only the newest page of a listing is looked at,
 * and all of them once an hour.
 */
import { listGeneration } from '../../../replica/catalogue/listing.ts';
import type { SegmentRef } from '../../../replica/objects/segment-reader.ts';
import type { SnapshotRef } from '../../../replica/objects/snapshot-reader.ts';
import type { Store } from '../../../replica/store/store.ts';
import { segmentKey, snapshotKey, walPrefix, type CodecName } from '../../../replica/terms/layout.ts';
import { hex8, type Place } from '../../../replica/terms/position.ts';

/** Segments that are looked at as a rule: what S3 lists in one answer. */
const PAGE = 1000;
/** Segments that are remembered; of older ones the rest of the bucket's checks must tell. */
const MOST = 100_000;
/** Milliseconds between two looks at all that is remembered. */
const ALL_EVERY = 3_600_000;

export interface Watched {
  readonly generation: string;
  readonly codec: CodecName;
  readonly base: Pick<SnapshotRef, 'index' | 'codec'>;
  readonly segments: readonly Place[];
}

export class ReplicaWatch {
  readonly #store: Store;
  readonly #elapsed: () => number;
  #watched: { readonly generation: string; readonly codec: CodecName } | undefined;
  #base: Pick<SnapshotRef, 'index' | 'codec'> = { index: 0, codec: 'lz4' };
  /** By index, the offsets of its segments, ascending. */
  #known = new Map<number, number[]>();
  #count = 0;
  #allAt = -Infinity;

  constructor(store: Store, elapsed: () => number) {
    this.#store = store;
    this.#elapsed = elapsed;
  }

  /** From now on this generation is watched. */
  begin({ generation, codec, base, segments }: Watched): void {
    this.#watched = { generation, codec };
    this.#base = base;
    this.#known.clear();
    this.#count = 0;
    this.#allAt = this.#elapsed();
    for (const each of segments) this.add(each);
  }

  /** A segment was put into the bucket. */
  add({ index, offset }: Place): void {
    const offsets = this.#known.get(index);
    if (offsets === undefined) this.#known.set(index, [offset]);
    else offsets.push(offset);
    this.#count++;
    while (this.#count > MOST && this.#known.size > 1) this.#forget(this.#known.keys().next().value!);
  }

  /** The key of an object that is missing; undefined if none is. Throws what the store throws. */
  async missing(): Promise<string | undefined> {
    if (this.#watched === undefined) return undefined;
    const all = this.#elapsed() >= this.#allAt + ALL_EVERY;
    const missing = await this.#look(all);
    if (missing !== undefined) return this.#lookAgain();
    if (all) this.#allAt = this.#elapsed();
    return undefined;
  }

  async #look(all: boolean): Promise<string | undefined> {
    const { generation, codec } = this.#watched!;
    const base = snapshotKey(generation, this.#base.index, this.#base.codec);
    if ((await this.#store.head(base)) === undefined) return base;
    const from = all ? 0 : this.#newest();
    const there = new Set<string>();
    // A prefix of the keys of that index comes before all of them.
    for await (const { key } of this.#store.list(walPrefix(generation), walPrefix(generation) + hex8(from)))
      there.add(key);
    for (const [index, offsets] of this.#known) {
      if (index < from) continue;
      for (const offset of offsets) {
        const key = segmentKey(generation, index, offset, codec);
        if (!there.has(key)) return key;
      }
    }
    return undefined;
  }

  /** The first index of the newest ones that fit on a page; the last one in any case. */
  #newest(): number {
    let first = 0;
    let count = 0;
    for (const [index, offsets] of [...this.#known].reverse()) {
      count += offsets.length;
      if (count > PAGE && first !== 0) break;
      first = index;
    }
    return first;
  }

  /** Retention may have taken the snapshot and the WAL before a newer one: what follows the newest snapshot counts. */
  async #lookAgain(): Promise<string | undefined> {
    const { generation, codec } = this.#watched!;
    const listed = await listGeneration(this.#store, generation);
    const base = listed?.snapshots.at(-1);
    if (listed === undefined || base === undefined) {
      return snapshotKey(generation, this.#base.index, this.#base.codec);
    }
    this.#base = base;
    for (const index of [...this.#known.keys()]) if (index < base.index) this.#forget(index);
    const there = new Set(listed.segments.map((each) => nameOf(each)));
    for (const [index, offsets] of this.#known) {
      for (const offset of offsets) {
        if (!there.has(nameOf({ index, offset }))) return segmentKey(generation, index, offset, codec);
      }
    }
    return undefined;
  }

  #forget(index: number): void {
    this.#count -= this.#known.get(index)?.length ?? 0;
    this.#known.delete(index);
  }
}

function nameOf({ index, offset }: Pick<SegmentRef, 'index' | 'offset'>): string {
  return `${hex8(index)}_${hex8(offset)}`;
}
