/**
 * Chains: the WAL that follows a snapshot without a gap, and what the headers of its segments tell.
 *
 * Every segment names the state before it and the states after its commits. So whether one follows on another is seen
 * from the headers alone; a search for the newest state at or before some moment checks that at every step, and never
 * takes an older state for the one asked for because a segment in between is missing.
 */
import { corrupt, type SeawallError } from '../terms/errors.ts';
import { stateAfter, type Mark, type ParsedSegmentHeader } from '../format/segment.ts';
import type { DatabaseState } from '../terms/database-state.ts';
import { segmentKey } from '../terms/layout.ts';
import { formatPosition } from '../terms/position.ts';
import { readSegmentHeader, type SegmentRef } from '../objects/segment-reader.ts';
import { readSnapshotFacts, type SnapshotRef } from '../objects/snapshot-reader.ts';
import type { Store } from '../store/store.ts';
import { segmentsOf, type Generation } from '../catalogue/generation.ts';

/** All segments of one index. */
export interface ChainIndex {
  readonly index: number;
  readonly segments: readonly SegmentRef[];
}

/** The indexes that follow a snapshot without a gap. */
export function chainFrom(generation: Generation, snapshot: SnapshotRef): readonly ChainIndex[] {
  const chain: ChainIndex[] = [];
  for (let index = snapshot.index; ; index++) {
    const segments = segmentsOf(generation, index);
    if (segments[0]?.offset !== 0) return chain;
    chain.push({ index, segments });
  }
}

/** The last index of a chain; the one before the snapshot's when there is no WAL. */
export function reachOf(chain: readonly ChainIndex[], snapshot: SnapshotRef): number {
  return chain.at(-1)?.index ?? snapshot.index - 1;
}

/** Pages and checksum equal: the same database, whenever it was seen. */
export function sameState(a: DatabaseState, b: DatabaseState): boolean {
  return a.pages === b.pages && a.checksum === b.checksum;
}

/** A place that a search in a chain found. */
export type Found =
  /** The state after a commit. `last`: nothing newer follows in the chain, restorable or not. */
  | { readonly kind: 'mark'; readonly segment: SegmentRef; readonly mark: Mark; readonly last: boolean }
  /** The end of a segment of another program's, which records no states; `time` is by the store's clock. */
  | {
      readonly kind: 'foreign';
      readonly segment: SegmentRef;
      readonly next: SegmentRef | undefined;
      readonly last: boolean;
    }
  /** No commit qualifies: the snapshot's own state. */
  | { readonly kind: 'snapshot'; readonly last: boolean };

export interface ChainEnd {
  readonly index: number;
  readonly offset: number;
  readonly state: DatabaseState | undefined;
}

/** Headers of one generation's segments, each read once. */
export class ChainReader {
  readonly #store: Store;
  readonly #generation: Generation;
  readonly #snapshot: SnapshotRef;
  readonly #segments: readonly SegmentRef[];
  readonly #headers = new Map<SegmentRef, ParsedSegmentHeader | undefined>();

  constructor(store: Store, generation: Generation, snapshot: SnapshotRef, chain: readonly ChainIndex[]) {
    this.#store = store;
    this.#generation = generation;
    this.#snapshot = snapshot;
    this.#segments = chain.flatMap(({ segments }) => segments);
  }

  async header(segment: SegmentRef): Promise<ParsedSegmentHeader | undefined> {
    if (!this.#headers.has(segment)) {
      this.#headers.set(segment, await readSegmentHeader(this.#store, this.#generation.id, segment));
    }
    return this.#headers.get(segment);
  }

  /** The newest restorable state captured at or before `time` (milliseconds). Throws `corrupt` (WAL_GAP). */
  async newestAt(time: number): Promise<Found> {
    let end = this.#segments.length;
    if (time !== Number.POSITIVE_INFINITY) end = await this.#firstAfter(time);
    return this.#walkBack(
      end,
      (mark) => mark.time <= time,
      (segment) => segment.lastModified <= time,
    );
  }

  /** The newest restorable state that ends before byte `offset` of index `index`. */
  async newestBefore(index: number, offset: number): Promise<Found> {
    const end = this.#segments.findLastIndex((s) => s.index < index || (s.index === index && s.offset < offset)) + 1;
    const qualifies = (segment: SegmentRef, mark: Mark): boolean => segment.index < index || mark.offset < offset;
    return this.#walkBack(
      end,
      (mark, segment) => qualifies(segment, mark),
      () => true,
    );
  }

  /** The oldest restorable commit that ends at or behind byte `offset` of index `index`. */
  async oldestFrom(
    index: number,
    offset: number,
  ): Promise<{ readonly index: number; readonly offset: number } | undefined> {
    for (const segment of this.#segments) {
      if (segment.index < index) continue;
      const mark = (await this.header(segment))?.marks.find(
        (each) => each.restorable && (segment.index > index || each.offset >= offset),
      );
      if (mark !== undefined) return { index: segment.index, offset: mark.offset };
    }
    return undefined;
  }

  /** Where the chain's last commit ends, restorable or not, and the state there where it is recorded. */
  async end(): Promise<ChainEnd> {
    for (const segment of this.#segments.toReversed()) {
      const header = await this.header(segment);
      if (header === undefined) return { index: segment.index, offset: Number.MAX_SAFE_INTEGER, state: undefined };
      const mark = header.marks.at(-1);
      if (mark !== undefined) return { index: segment.index, offset: mark.offset, state: mark };
    }
    const state = await readSnapshotFacts(this.#store, this.#generation.id, this.#snapshot);
    return { index: this.#snapshot.index, offset: 0, state };
  }

  /** The first segment that begins after `time`: it and everything newer are out of question. */
  async #firstAfter(time: number): Promise<number> {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const segment = this.#segments[middle]!;
      const begins = (await this.header(segment))?.before.time ?? segment.lastModified;
      if (begins <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  async #walkBack(
    end: number,
    qualifies: (mark: Mark, segment: SegmentRef) => boolean,
    foreignQualifies: (segment: SegmentRef) => boolean,
  ): Promise<Found> {
    let last = end === this.#segments.length;
    for (let i = end - 1; i >= 0; i--) {
      const segment = this.#segments[i]!;
      const next = this.#segments[i + 1];
      const header = await this.header(segment);
      if (header === undefined) {
        if (foreignQualifies(segment)) return { kind: 'foreign', segment, next, last };
        last = false;
        continue;
      }
      if (header.marks.every((mark) => qualifies(mark, segment))) await this.#assertFollows(stateAfter(header), next);
      const at = header.marks.findLastIndex((mark) => qualifies(mark, segment));
      if (at < header.marks.length - 1) last = false;
      const mark = header.marks.slice(0, at + 1).findLast(({ restorable }) => restorable);
      if (mark !== undefined) return { kind: 'mark', segment, mark, last };
    }
    const facts = await readSnapshotFacts(this.#store, this.#generation.id, this.#snapshot);
    if (facts !== undefined) await this.#assertFollows(facts, this.#segments[0]);
    return { kind: 'snapshot', last };
  }

  async #assertFollows(state: DatabaseState, next: SegmentRef | undefined): Promise<void> {
    if (next === undefined) return;
    const header = await this.header(next);
    if (header === undefined || sameState(state, header.before)) return;
    throw walGap(this.#generation.id, next);
  }
}

/** The segment does not continue the state that the WAL before it ends in. */
export function walGap(generation: string, next: SegmentRef): SeawallError {
  return corrupt('WAL_GAP', 'WAL is missing before it: it does not continue the state that older WAL ends in', {
    key: segmentKey(generation, next.index, next.offset, next.codec),
    position: formatPosition({ generation, index: next.index, offset: next.offset }),
  });
}
