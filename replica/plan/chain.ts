/**
 * Chains: the WAL that follows a snapshot without a gap, and what the headers of its segments say.
 *
 * Every segment names the state before it and the states after its commits, so the headers alone show whether one
 * segment continues another. A search for the newest state at or before some moment checks this at every step. It
 * never returns an older state because a segment in between is missing.
 */
import type { Generation } from '../catalogue/generation.ts';
import { positionIn } from '../catalogue/generation.ts';
import { stateAfter, type Mark } from '../format/segment.ts';
import type { SegmentRef } from '../objects/segment-reader.ts';
import type { SnapshotRef } from '../objects/snapshot-reader.ts';
import type { DatabaseState } from '../terms/database-state.ts';
import { corrupt, type SeawallError } from '../terms/errors.ts';
import { segmentKey } from '../terms/layout.ts';
import type { Place } from '../terms/position.ts';
import type { ChainIndex, GenerationReader } from './generation-reader.ts';

/** Whether page count and checksum are equal: the same database, whenever it was captured. */
export function sameState(a: DatabaseState, b: DatabaseState): boolean {
  return a.pages === b.pages && a.checksum === b.checksum;
}

/** A place that a search in a chain found. */
export type Found =
  /** The state after a commit. `last`: nothing newer follows in the chain, restorable or not. */
  | { readonly kind: 'mark'; readonly segment: SegmentRef; readonly mark: Mark; readonly last: boolean }
  /** The end of another program's segment, which records no states; its time is by the store's clock. */
  | {
      readonly kind: 'foreign';
      readonly segment: SegmentRef;
      readonly next: SegmentRef | undefined;
      readonly last: boolean;
    }
  /** No commit qualifies: the snapshot's own state. */
  | { readonly kind: 'snapshot'; readonly last: boolean };

export interface ChainEnd extends Place {
  /** Undefined if another program wrote the last segment. */
  readonly state: DatabaseState | undefined;
}

/** A snapshot and the WAL that follows it. */
export class Chain {
  readonly reader: GenerationReader;
  readonly base: SnapshotRef;
  /** Ascending and without gaps; empty if no WAL follows the snapshot. */
  readonly indexes: readonly ChainIndex[];
  readonly #segments: readonly SegmentRef[];

  constructor(reader: GenerationReader, base: SnapshotRef, indexes = reader.chainFrom(base)) {
    this.reader = reader;
    this.base = base;
    this.indexes = indexes;
    this.#segments = indexes.flatMap(({ segments }) => segments);
  }

  /** The last index; the one before the snapshot's if there is no WAL. */
  get reach(): number {
    return this.indexes.at(-1)?.index ?? this.base.index - 1;
  }

  /** The part that is promised. WAL below the floor may end anywhere, so WAL above the floor does not continue it. */
  promised(): Chain {
    const { floor } = this.reader;
    if (this.base.index >= floor) return this;
    return new Chain(
      this.reader,
      this.base,
      this.indexes.filter(({ index }) => index < floor),
    );
  }

  /** The newest restorable state captured at or before `time`, milliseconds since 1970. Throws `corrupt` (WAL_GAP). */
  async newestAt(time: number): Promise<Found> {
    let end = this.#segments.length;
    if (time !== Number.POSITIVE_INFINITY) end = await this.#firstAfter(time);
    return this.#walkBack(
      end,
      (mark) => mark.time <= time,
      (segment) => segment.lastModified <= time,
    );
  }

  /** The newest restorable state that ends before `place`. Throws `corrupt` (WAL_GAP). */
  async newestBefore({ index, offset }: Place): Promise<Found> {
    const end = this.#segments.findLastIndex((s) => s.index < index || (s.index === index && s.offset < offset)) + 1;
    return this.#walkBack(
      end,
      (mark, segment) => segment.index < index || mark.offset < offset,
      () => true,
    );
  }

  /** The oldest restorable commit that ends at or after `place`. */
  async oldestFrom({ index, offset }: Place): Promise<Place | undefined> {
    for (const segment of this.#segments) {
      if (segment.index < index) continue;
      const mark = (await this.reader.header(segment))?.marks.find(
        (each) => each.restorable && (segment.index > index || each.offset >= offset),
      );
      if (mark !== undefined) return { index: segment.index, offset: mark.offset };
    }
    return undefined;
  }

  /** Where the chain's last commit ends, restorable or not, and the state there if it is recorded. */
  async end(): Promise<ChainEnd> {
    for (const segment of this.#segments.toReversed()) {
      const header = await this.reader.header(segment);
      if (header === undefined) return { index: segment.index, offset: Number.MAX_SAFE_INTEGER, state: undefined };
      const mark = header.marks.at(-1);
      if (mark !== undefined) return { index: segment.index, offset: mark.offset, state: mark };
    }
    return { index: this.base.index, offset: 0, state: await this.reader.snapshotFacts(this.base) };
  }

  /** The first segment that begins after `time`: this one and all newer ones are out of the question. */
  async #firstAfter(time: number): Promise<number> {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const segment = this.#segments[middle]!;
      const begins = (await this.reader.header(segment))?.before.time ?? segment.lastModified;
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
      const header = await this.reader.header(segment);
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
    const facts = await this.reader.snapshotFacts(this.base);
    if (facts !== undefined) await this.#assertFollows(facts, this.#segments[0]);
    return { kind: 'snapshot', last };
  }

  async #assertFollows(state: DatabaseState, next: SegmentRef | undefined): Promise<void> {
    if (next === undefined) return;
    const header = await this.reader.header(next);
    if (header === undefined || sameState(state, header.before)) return;
    throw walGap(this.reader.generation, next);
  }
}

/** The error for a segment that does not continue the state that the WAL before it ends in. */
export function walGap(generation: Generation, next: SegmentRef): SeawallError {
  return corrupt('WAL_GAP', 'WAL is missing before it: it does not continue the state that older WAL ends in', {
    key: segmentKey(generation.id, next.index, next.offset, next.codec),
    position: positionIn(generation, next),
  });
}
