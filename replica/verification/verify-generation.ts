/** The check of one generation: reads its snapshots and WAL in order and carries the database checksum along. */
import { sameState } from '../plan/chain.ts';
import type { GenerationReader } from '../plan/generation-reader.ts';
import type { Head } from '../catalogue/head.ts';
import { EarlyPages } from './early-pages.ts';
import { corrupt } from '../terms/errors.ts';
import { formatChecksum, type PageHashes } from '../format/page-hashes.ts';
import type { DatabaseState } from '../terms/database-state.ts';
import { HEAD_KEY, segmentKey, snapshotKey } from '../terms/layout.ts';
import { comparePlaces, formatPosition } from '../terms/position.ts';
import { assertMarksMatchFrames, readSegmentPieces, type SegmentRef } from '../objects/segment-reader.ts';
import type { SnapshotRef } from '../objects/snapshot-reader.ts';
import { segmentsOf } from '../catalogue/generation.ts';
import { readWholeSnapshot } from '../objects/whole-snapshot.ts';
import type { Findings, GenerationReport } from './findings.ts';
import { WalCursor, type Frame } from '../wal/cursor.ts';

/** The state of the database is known, and carried from commit to commit. */
interface Following {
  readonly kind: 'following';
  /** Page hashes after the last frame, which may be inside a transaction. */
  readonly hashes: PageHashes;
  /** The state after the last commit. */
  state: DatabaseState;
  /** The index that continues what has been read. */
  next: number;
  /** Set while the index of another program's snapshot is read. */
  early: EarlyPages | undefined;
}

/**
 * - `following`: see {@link Following}
 * - `lost`: before the first snapshot and after damage, up to the next snapshot. WAL is only decoded.
 */
type Phase = Following | { readonly kind: 'lost' };

const LOST: Phase = { kind: 'lost' };

/** Checks one generation; `run` once. */
export class GenerationCheck {
  readonly #reader: GenerationReader;
  readonly #head: Head | undefined;
  readonly #findings: Findings;
  #phase: Phase = LOST;
  /** Bytes; undefined before the first snapshot. */
  #pageSize: number | undefined;
  /** The latest time that was recorded so far, milliseconds since 1970. */
  #time = 0;
  /** The newest commit that was reached. */
  #last: string | undefined;
  #headSeen = false;
  /** Damage was reported; what follows from it is not reported again. */
  #damaged = false;
  readonly #tally = { commits: 0, holes: 0, recorded: 0, frames: 0 };

  constructor(reader: GenerationReader, head: Head | undefined, findings: Findings) {
    this.#reader = reader;
    this.#head = head;
    this.#findings = findings;
  }

  /** Reads every object once. What is wrong goes to the findings; throws what keeps it from reading. */
  async run(): Promise<GenerationReport> {
    const { id, snapshots, segments } = this.#reader.generation;
    const indexes = new Set([...snapshots.map(({ index }) => index), ...segments.map(({ index }) => index)]);
    if (snapshots.length === 0) {
      const message = `generation ${id} has no snapshot: it was never finished, or its snapshot is gone`;
      this.#findings.warning(this.#firstKey(), 'NO_SNAPSHOT', message);
    }
    for (const index of [...indexes].sort((a, b) => a - b)) {
      for (const snapshot of snapshots.filter((each) => each.index === index)) await this.#snapshot(snapshot);
      const ofIndex = segmentsOf(this.#reader.generation, index);
      if (ofIndex.length > 0) await this.#index(index, ofIndex);
      this.#checkEarly(index);
    }
    this.#checkHead();
    const [first] = snapshots;
    const { commits, holes, recorded, frames } = this.#tally;
    return {
      id,
      snapshots: snapshots.length,
      segments: segments.length,
      bytes: [...snapshots, ...segments].reduce((sum, { size }) => sum + size, 0),
      commits,
      first: first && this.#name(first.index, 0),
      last: this.#last,
      holes,
      proof: { recorded, frames },
    };
  }

  async #snapshot(ref: SnapshotRef): Promise<void> {
    const key = snapshotKey(this.#reader.generation.id, ref.index, ref.codec);
    try {
      const { hashes, facts } = await readWholeSnapshot(this.#reader.store, this.#reader.generation.id, ref);
      if (facts === undefined) this.#tally.frames++;
      else this.#tally.recorded++;
      const time = facts?.time ?? this.#time;
      const state = { pages: hashes.pages, checksum: hashes.checksum, time };
      const before = this.#following;
      if (before !== undefined && before.next < ref.index) this.#hole(before.next, ref.index, key);
      else if (before?.next === ref.index && facts === undefined) {
        before.early = new EarlyPages(key, hashes, before.hashes);
        this.#findings.checked();
        return; // the WAL before it records the state at the end of its index; the snapshot may hold later pages
      } else if (before?.next === ref.index && !sameState(before.state, state)) {
        this.#tally.holes++;
        const states = `${formatChecksum(state.checksum)}, not ${formatChecksum(before.state.checksum)}`;
        const message = `${key}: holds another state than the WAL before it leads to (${states})`;
        this.#damage(ref.index, key, 'SNAPSHOT_DIFFERS', message);
      }
      this.#checkTime(key, time);
      this.#phase = { kind: 'following', hashes, state, next: ref.index, early: before?.early };
      this.#pageSize = hashes.pageSize;
      this.#last = this.#name(ref.index, 0);
      this.#atHead(state, ref.index, 0);
    } catch (error) {
      this.#findings.failed(key, error);
      this.#damaged = true;
    }
    this.#findings.checked();
  }

  /** Checks all segments of one index. What was wrong before it is not reported again; each segment is decoded anyway. */
  async #index(index: number, segments: readonly SegmentRef[]): Promise<void> {
    const key = this.#keyOf(segments[0]!);
    const before = this.#following;
    if (before !== undefined && before.next < index) {
      this.#hole(before.next, index, key);
      this.#phase = LOST;
    }
    if (
      this.#phase.kind === 'lost' &&
      this.#reader.generation.snapshots.length > 0 &&
      index >= this.#reader.floor &&
      !this.#damaged
    ) {
      this.#findings.problem(key, 'WAL_WITHOUT_SNAPSHOT', `${key}: there is no snapshot that this WAL continues`);
      this.#damaged = true;
    }
    let cursor: WalCursor | undefined = new WalCursor(this.#reader.generation.id, index);
    let expected = 0;
    for (const segment of segments) {
      if (cursor !== undefined && segment.offset !== expected) {
        this.#gap(segment, expected);
        cursor = undefined;
        this.#phase = LOST;
      }
      try {
        expected = await this.#segment(segment, cursor);
      } catch (error) {
        this.#findings.failed(this.#keyOf(segment), error);
        cursor = undefined;
        this.#phase = LOST;
        this.#damaged = true;
      }
      this.#findings.checked();
    }
    if (cursor === undefined) return;
    if (!cursor.atCommit && this.#reader.generation.segments.at(-1)!.index > index) {
      const last = this.#keyOf(segments.at(-1)!);
      this.#damage(index + 1, last, 'WAL_UNFINISHED', `${last}: index ${index} ends inside a transaction`);
      this.#phase = LOST;
      return;
    }
    const following = this.#following;
    if (following === undefined) return;
    following.next = index + 1;
    this.#atHead(following.state, index + 1, 0);
  }

  /** Checks one segment; returns the offset at which the next one must begin. Without a cursor it is only decoded. */
  async #segment(segment: SegmentRef, cursor: WalCursor | undefined): Promise<number> {
    let at = segment.offset;
    let recorded = false;
    for await (const { header, raw } of readSegmentPieces(this.#reader.store, this.#reader.generation.id, segment)) {
      at += raw.length;
      recorded = header !== undefined;
      if (cursor === undefined) continue;
      const before = this.#following;
      if (header !== undefined && before !== undefined && !sameState(before.state, header.before)) {
        const key = this.#keyOf(segment);
        const states = `${formatChecksum(header.before.checksum)}, not ${formatChecksum(before.state.checksum)}`;
        const message = `${key}: does not continue the state before it (${states})`;
        this.#damage(segment.index + 1, key, 'SEGMENT_BEFORE', message);
        this.#phase = LOST;
      }
      const frames = cursor.feed(raw);
      if (header !== undefined) {
        assertMarksMatchFrames(header, frames);
        if (header.endsOnCommit !== ((frames.at(-1)?.commitPages ?? 0) !== 0)) {
          throw corrupt('SEGMENT_MARKS', 'the header is wrong about whether it ends on a commit');
        }
      }
      const marks = new Map(header?.marks.map((mark) => [mark.offset, mark]));
      for (const frame of frames) this.#frame(segment, frame, marks.get(frame.end));
    }
    if (cursor !== undefined && cursor.offset !== at) {
      throw corrupt('SEGMENT_LENGTH', 'the segment does not end on a frame boundary');
    }
    if (recorded) this.#tally.recorded++;
    else this.#tally.frames++;
    return at;
  }

  #frame(segment: SegmentRef, frame: Frame, mark: DatabaseState | undefined): void {
    const key = this.#keyOf(segment);
    if (this.#pageSize !== undefined && frame.content.length !== this.#pageSize) {
      throw corrupt('PAGE_SIZE_CHANGED', `pages of ${frame.content.length} bytes after ${this.#pageSize}`);
    }
    const following = this.#following;
    following?.hashes.set(frame.page, frame.content);
    following?.early?.frame(frame.page, following.hashes.get(frame.page), frame.commitPages);
    if (frame.commitPages === 0) return;
    this.#tally.commits++;
    following?.hashes.commit(frame.commitPages);
    if (mark !== undefined) this.#checkTime(key, mark.time);
    if (following === undefined) return;
    const position = this.#name(segment.index, frame.end);
    const { pages, checksum } = following.hashes;
    following.state = { pages, checksum, time: mark?.time ?? this.#time };
    if (mark !== undefined && !sameState(mark, following.state)) {
      throw corrupt('SEGMENT_CHECKSUM', `the database at ${position} is not what was recorded`, {
        position,
        expected: formatChecksum(mark.checksum),
        actual: formatChecksum(checksum),
      });
    }
    this.#last = position;
    this.#atHead(following.state, segment.index, frame.end);
  }

  #checkEarly(index: number): void {
    const following = this.#following;
    const early = following?.early;
    if (following === undefined || early === undefined) return;
    following.early = undefined;
    if (early.unexplained === 0) return;
    const message = `${early.key}: ${early.unexplained} of its pages are neither of the WAL before it nor of its own index`;
    this.#damage(index, early.key, 'SNAPSHOT_DIFFERS', message);
  }

  /** Times must never go back, because a restore by time searches by them. */
  #checkTime(key: string, time: number): void {
    if (time < this.#time) {
      const message = `${key}: captured at ${time}, before ${this.#time} of what comes earlier`;
      this.#findings.problem(key, 'TIME_BACKWARDS', message);
    }
    this.#time = Math.max(this.#time, time);
  }

  /** Something between index `next`, which would continue the WAL read so far, and index `index` is missing. */
  #hole(next: number, index: number, key: string): void {
    this.#tally.holes++;
    const position = this.#name(next, 0);
    this.#damage(index, key, 'WAL_GAP', `${key}: the WAL from ${position} to it is missing`);
  }

  #gap(segment: SegmentRef, expected: number): void {
    this.#tally.holes++;
    const key = this.#keyOf(segment);
    const position = this.#name(segment.index, expected);
    this.#damage(segment.index + 1, key, 'WAL_GAP', `${key}: the segment at ${position} is missing before it`);
  }

  /** A break before index `until`: a problem, unless retention has given up the WAL there. */
  #damage(until: number, key: string, code: string, message: string): void {
    if (until > this.#reader.floor) {
      this.#findings.problem(key, code, message);
      this.#damaged = true;
    }
  }

  get #following(): Following | undefined {
    return this.#phase.kind === 'following' ? this.#phase : undefined;
  }

  /** The database is in `state` at this place; if the head names the place, it must record that state. */
  #atHead(state: DatabaseState, index: number, offset: number): void {
    const head = this.#head;
    if (head?.position.index !== index || head.position.offset !== offset) return;
    this.#headSeen = true;
    if (!sameState(state, { ...head, time: head.committed })) {
      const position = formatPosition(head.position);
      this.#findings.problem(HEAD_KEY, 'HEAD_CHECKSUM', `the head records another database at ${position}`);
    }
  }

  #checkHead(): void {
    const [first] = this.#reader.generation.snapshots;
    if (this.#head === undefined || this.#headSeen || this.#damaged) return;
    const { position } = this.#head;
    if (
      first !== undefined &&
      comparePlaces(position, { index: Math.max(first.index, this.#reader.floor), offset: 0 }) < 0
    )
      return;
    const message = `the head names ${formatPosition(position)}, and no commit that is there ends at that position`;
    this.#findings.problem(HEAD_KEY, 'HEAD_BEYOND_SEGMENTS', message);
  }

  #firstKey(): string {
    const [segment] = this.#reader.generation.segments;
    return segment === undefined ? `generations/${this.#reader.generation.id}` : this.#keyOf(segment);
  }

  #keyOf({ index, offset, codec }: SegmentRef): string {
    return segmentKey(this.#reader.generation.id, index, offset, codec);
  }

  #name(index: number, offset: number): string {
    return this.#reader.position({ index, offset });
  }
}
