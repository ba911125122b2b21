/** The check of one generation: its snapshots and WAL in order, with the database checksum carried along. */
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

export class GenerationCheck {
  readonly #reader: GenerationReader;
  readonly #head: Head | undefined;
  readonly #findings: Findings;
  /** Page hashes at #next; undefined where they cannot be known. */
  #hashes: PageHashes | undefined;
  /** The state after the last commit; #hashes may be inside a transaction. */
  #state: DatabaseState | undefined;
  /** The index that continues what has been read; undefined before the first snapshot and behind damage. */
  #next: number | undefined;
  #pageSize: number | undefined;
  #time = 0;
  #commits = 0;
  #holes = 0;
  #recorded = 0;
  #frames = 0;
  #last: string | undefined;
  #headSeen = false;
  /** Of a snapshot of another program's, while its index is read. */
  #early: EarlyPages | undefined;
  /** Damage was told; what follows from it is not told again. */
  #damaged = false;

  constructor(reader: GenerationReader, head: Head | undefined, findings: Findings) {
    this.#reader = reader;
    this.#head = head;
    this.#findings = findings;
  }

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
    return {
      id,
      snapshots: snapshots.length,
      segments: segments.length,
      bytes: [...snapshots, ...segments].reduce((sum, { size }) => sum + size, 0),
      commits: this.#commits,
      first: first && this.#name(first.index, 0),
      last: this.#last,
      holes: this.#holes,
      proof: { recorded: this.#recorded, frames: this.#frames },
    };
  }

  async #snapshot(ref: SnapshotRef): Promise<void> {
    const key = snapshotKey(this.#reader.generation.id, ref.index, ref.codec);
    try {
      const { hashes, facts } = await readWholeSnapshot(this.#reader.store, this.#reader.generation.id, ref);
      if (facts === undefined) this.#frames++;
      else this.#recorded++;
      const time = facts?.time ?? this.#time;
      const state = { pages: hashes.pages, checksum: hashes.checksum, time };
      if (this.#next !== undefined && this.#next < ref.index) this.#hole(ref.index, key);
      else if (this.#next === ref.index && this.#hashes !== undefined && facts === undefined) {
        this.#early = new EarlyPages(key, hashes, this.#hashes);
        this.#findings.checked();
        return; // the WAL before it knows the state at the end of its index, the snapshot may not
      } else if (this.#next === ref.index && this.#state !== undefined && !sameState(this.#state, state)) {
        this.#holes++;
        const states = `${formatChecksum(state.checksum)}, not ${formatChecksum(this.#state.checksum)}`;
        const message = `${key}: holds another state than the WAL before it leads to (${states})`;
        this.#damage(ref.index, key, 'SNAPSHOT_DIFFERS', message);
      }
      this.#checkTime(key, time);
      this.#hashes = hashes;
      this.#state = state;
      this.#next = ref.index;
      this.#pageSize = hashes.pageSize;
      this.#last = this.#name(ref.index, 0);
      this.#atHead(ref.index, 0);
    } catch (error) {
      this.#findings.failed(key, error);
      this.#damaged = true;
    }
    this.#findings.checked();
  }

  /** All segments of one index. What was wrong before it was said already; each is decoded in any case. */
  async #index(index: number, segments: readonly SegmentRef[]): Promise<void> {
    const key = this.#keyOf(segments[0]!);
    if (this.#next !== undefined && this.#next < index) {
      this.#hole(index, key);
      this.#lose();
    }
    if (
      this.#next === undefined &&
      this.#reader.generation.snapshots.length > 0 &&
      index >= this.#reader.floor &&
      !this.#damaged
    ) {
      this.#findings.problem(key, 'WAL_WITHOUT_SNAPSHOT', `${key}: no snapshot is there that this WAL continues`);
      this.#damaged = true;
    }
    let cursor: WalCursor | undefined = new WalCursor(this.#reader.generation.id, index);
    let expected = 0;
    for (const segment of segments) {
      if (cursor !== undefined && segment.offset !== expected) {
        this.#gap(segment, expected);
        cursor = undefined;
        this.#lose();
      }
      try {
        expected = await this.#segment(segment, cursor);
      } catch (error) {
        this.#findings.failed(this.#keyOf(segment), error);
        cursor = undefined;
        this.#lose();
        this.#damaged = true;
      }
      this.#findings.checked();
    }
    if (cursor === undefined) return;
    if (!cursor.atCommit && this.#reader.generation.segments.at(-1)!.index > index) {
      const last = this.#keyOf(segments.at(-1)!);
      this.#damage(index + 1, last, 'WAL_UNFINISHED', `${last}: index ${index} ends inside a transaction`);
      this.#lose();
      return;
    }
    if (this.#next !== undefined) this.#next = index + 1;
    if (this.#state !== undefined) this.#atHead(index + 1, 0);
  }

  /** One segment; returns the offset at which the next one must begin. Without a cursor it is only decoded. */
  async #segment(segment: SegmentRef, cursor: WalCursor | undefined): Promise<number> {
    let at = segment.offset;
    let recorded = false;
    for await (const { header, raw } of readSegmentPieces(this.#reader.store, this.#reader.generation.id, segment)) {
      at += raw.length;
      recorded = header !== undefined;
      if (cursor === undefined) continue;
      if (header !== undefined && this.#state !== undefined && !sameState(this.#state, header.before)) {
        const key = this.#keyOf(segment);
        const states = `${formatChecksum(header.before.checksum)}, not ${formatChecksum(this.#state.checksum)}`;
        const message = `${key}: does not continue the state before it (${states})`;
        this.#damage(segment.index + 1, key, 'SEGMENT_BEFORE', message);
        this.#lose();
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
    if (recorded) this.#recorded++;
    else this.#frames++;
    return at;
  }

  #frame(segment: SegmentRef, frame: Frame, mark: DatabaseState | undefined): void {
    const key = this.#keyOf(segment);
    if (this.#pageSize !== undefined && frame.content.length !== this.#pageSize) {
      throw corrupt('PAGE_SIZE_CHANGED', `pages of ${frame.content.length} bytes after ${this.#pageSize}`);
    }
    this.#hashes?.set(frame.page, frame.content);
    this.#early?.frame(frame.page, this.#hashes?.get(frame.page) ?? 0n, frame.commitPages);
    if (frame.commitPages === 0) return;
    this.#commits++;
    this.#hashes?.commit(frame.commitPages);
    const position = this.#name(segment.index, frame.end);
    if (mark !== undefined) this.#checkTime(key, mark.time);
    if (this.#hashes === undefined) return;
    const { pages, checksum } = this.#hashes;
    this.#state = { pages, checksum, time: mark?.time ?? this.#time };
    if (mark !== undefined && !sameState(mark, this.#state)) {
      throw corrupt('SEGMENT_CHECKSUM', `the database at ${position} is not what was recorded`, {
        position,
        expected: formatChecksum(mark.checksum),
        actual: formatChecksum(checksum),
      });
    }
    this.#last = position;
    this.#atHead(segment.index, frame.end);
  }

  #checkEarly(index: number): void {
    const early = this.#early;
    this.#early = undefined;
    if (early === undefined || early.unexplained === 0 || this.#hashes === undefined) return;
    const message = `${early.key}: ${early.unexplained} of its pages are neither of the WAL before it nor of its own index`;
    this.#damage(index, early.key, 'SNAPSHOT_DIFFERS', message);
  }

  /** Times never go back; a restore by time searches by them. */
  #checkTime(key: string, time: number): void {
    if (time < this.#time) {
      const message = `${key}: captured at ${time}, before ${this.#time} of what comes earlier`;
      this.#findings.problem(key, 'TIME_BACKWARDS', message);
    }
    this.#time = Math.max(this.#time, time);
  }

  /** Something between the WAL read so far and index `index` is not there. */
  #hole(index: number, key: string): void {
    this.#holes++;
    const position = this.#name(this.#next!, 0);
    this.#damage(index, key, 'WAL_GAP', `${key}: the WAL from ${position} to it is missing`);
  }

  #gap(segment: SegmentRef, expected: number): void {
    this.#holes++;
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

  /** The state is not known from here on, up to the next snapshot. */
  #lose(): void {
    this.#hashes = undefined;
    this.#state = undefined;
    this.#next = undefined;
  }

  #atHead(index: number, offset: number): void {
    const head = this.#head;
    if (head?.position.index !== index || head.position.offset !== offset) return;
    this.#headSeen = true;
    if (this.#state !== undefined && !sameState(this.#state, { ...head, time: head.committed })) {
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
    const message = `the head names ${formatPosition(position)}, which is not the end of a commit that is there`;
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
