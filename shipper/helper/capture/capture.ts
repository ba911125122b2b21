/**
 * Capture: turns committed frames of the live WAL into segments.
 *
 * Every frame is checked against the WAL's own chain before it is taken, and the page hashes move with it, so each
 * segment records the checksum of the database after its last commit.
 */
import { SeawallError } from '../../../replica/terms/errors.ts';
import type { Codec } from '../../../replica/format/codec.ts';
import type { PageHashes } from '../../../replica/format/page-hashes.ts';
import {
  encodeSegment,
  MAX_MARKS,
  type Mark,
  type Packing,
  type SegmentHeader,
} from '../../../replica/format/segment.ts';
import type { DatabaseState } from '../../../replica/terms/database-state.ts';
import { segmentKey } from '../../../replica/terms/layout.ts';
import { formatPosition } from '../../../replica/terms/position.ts';
import type { WalSum } from '../../../replica/wal/checksum.ts';
import {
  FRAME_HEADER_SIZE,
  frameFault,
  frameSize,
  offsetAfter,
  parseFrameHeader,
  parseWalHeader,
  WAL_HEADER_SIZE,
  type WalHeader,
} from '../../../replica/wal/format.ts';
import type { WalBytes } from './kept-frames.ts';
import type { SeenCommit } from './seen-commits.ts';
import type { ShmHeader } from '../database/shm-header.ts';
import { ContinuityLost } from '../continuity-lost.ts';

/** How far the capture has come: everything before is in segments. */
export interface CapturePoint {
  readonly generation: string;
  readonly index: number;
  readonly offset: number;
  /** The WAL file's header, once its index has begun. */
  readonly wal: WalHeader | undefined;
  /** Chain checksum of the last frame taken. */
  readonly sum: WalSum;
  /** The database after the last commit taken. */
  readonly state: DatabaseState;
}

export interface CapturedSegment {
  readonly key: string;
  readonly index: number;
  readonly offset: number;
  /** The byte after the segment. */
  readonly end: number;
  readonly bytes: Buffer;
  readonly rawLength: number;
  readonly frames: number;
  /** Where the capture continues, and whether the segment ends with a commit. */
  readonly after: CapturePoint;
  readonly endsOnCommit: boolean;
}

export interface CaptureSource extends WalBytes {
  readonly pageSize: number;
}

export interface CaptureLimits {
  /** Most raw bytes of one segment. A segment has at least one frame. */
  readonly segmentSize: number;
  /** When commits were seen, ascending. */
  readonly seen: readonly SeenCommit[];
  readonly codec: Codec;
  /** Something waits for the capture, so the segment is packed quickly. */
  readonly urgent: boolean;
  /** Frames before this byte repeat older history, so the states between them are no restore points. Usually 0. */
  readonly replayEnd: number;
}

/**
 * Takes the next segment, up to the last committed frame in `wal`. Returns undefined if there is nothing new. Brings
 * `hashes` to the state after the segment. Throws {@link ContinuityLost} if the WAL's bytes do not continue the chain.
 */
export function captureNext(
  point: CapturePoint,
  wal: ShmHeader,
  source: CaptureSource,
  hashes: PageHashes,
  limits: CaptureLimits,
): CapturedSegment | undefined {
  const size = frameSize(source.pageSize);
  const committed = wal.frames === 0 ? 0 : offsetAfter(wal.frames, source.pageSize);
  if (committed <= point.offset) return undefined;

  const most = Math.max(Math.floor(limits.segmentSize / size), 1) * size + (point.offset === 0 ? WAL_HEADER_SIZE : 0);
  const length = Math.min(committed - point.offset, most);
  const raw = source.read(point.offset, length);
  if (raw.length < length) {
    throw new ContinuityLost(
      'wal-cut-short',
      `the WAL file ends before its committed frames at ${formatPosition(point)}`,
    );
  }
  const header = point.wal ?? beginIndex(raw, wal, point);
  const first = point.offset === 0 ? WAL_HEADER_SIZE : 0;
  const end = cutAtCommit(raw, first, size, point.offset + length === committed);
  const { marks, sum } = takeFrames(raw.subarray(0, end), first, size, point, header, hashes, limits);
  const last = point.offset + end;
  if (last === committed && (sum.s1 !== wal.sum.s1 || sum.s2 !== wal.sum.s2)) {
    throw new ContinuityLost(
      'wal-chain-broken',
      `the frames before ${formatPosition({ ...point, offset: last })} are not those committed`,
    );
  }

  const segment: SegmentHeader = {
    generation: point.generation,
    index: point.index,
    offset: point.offset,
    pageSize: source.pageSize,
    rawLength: end,
    before: point.state,
    marks,
    endsOnCommit: marks.at(-1)?.offset === last,
  };
  const bytes = encodeSegment(segment, raw.subarray(0, end), limits.codec, packingOf(limits, committed - last));
  source.letGo(raw);
  return {
    key: segmentKey(point.generation, point.index, point.offset, limits.codec.name),
    index: point.index,
    offset: point.offset,
    end: last,
    bytes,
    rawLength: end,
    frames: (end - first) / size,
    after: {
      generation: point.generation,
      index: point.index,
      offset: last,
      wal: header,
      sum,
      state: marks.at(-1) ?? point.state,
    },
    endsOnCommit: segment.endsOnCommit,
  };
}

/**
 * If more is waiting at once, the app writes faster than segments are asked for, and needs the processor itself. So at
 * most one segment is packed tightly each time that one is asked for, however much is written.
 */
function packingOf({ urgent }: CaptureLimits, left: number): Packing {
  return urgent || left > 0 ? 'quick' : 'tight';
}

function beginIndex(raw: Buffer, wal: ShmHeader, point: CapturePoint): WalHeader {
  let header: WalHeader;
  try {
    header = parseWalHeader(raw);
  } catch (error) {
    if (!(error instanceof SeawallError)) throw error;
    throw new ContinuityLost(
      'wal-chain-broken',
      `the WAL header at ${formatPosition(point)} is not valid: ${error.message}`,
    );
  }
  if (header.salt1 !== wal.salt1 || header.salt2 !== wal.salt2) {
    throw new ContinuityLost('wal-replaced', `the WAL file at ${formatPosition(point)} is not the one in use`);
  }
  return header;
}

/** Bytes to take: up to the last commit in `raw`, or all of it if a transaction is larger than a segment. */
function cutAtCommit(raw: Buffer, first: number, size: number, endsCommitted: boolean): number {
  if (endsCommitted) return raw.length;
  for (let at = raw.length - size; at >= first; at -= size) {
    if (raw.readUInt32BE(at + 4) !== 0) return at + size;
  }
  return raw.length;
}

function takeFrames(
  raw: Buffer,
  first: number,
  size: number,
  point: CapturePoint,
  wal: WalHeader,
  hashes: PageHashes,
  { seen, replayEnd }: CaptureLimits,
): { readonly marks: Mark[]; readonly sum: WalSum } {
  let sum = point.offset === 0 ? wal.sum : point.sum;
  const marks: Mark[] = [];
  let next = seen.findIndex(({ offset }) => offset > point.offset);
  if (next === -1) next = seen.length;
  for (let at = first; at < raw.length; at += size) {
    const frame = raw.subarray(at, at + size);
    const header = parseFrameHeader(frame);
    const fault = frameFault(wal, sum, frame, header);
    const end = point.offset + at + size;
    if (fault !== undefined) {
      throw new ContinuityLost(
        'wal-chain-broken',
        `${fault} of the frame that ends at ${formatPosition({ ...point, offset: end })}`,
      );
    }
    sum = header.sum;
    hashes.set(header.page, frame.subarray(FRAME_HEADER_SIZE));
    if (header.commitPages === 0) continue;
    hashes.commit(header.commitPages);
    while (next < seen.length && seen[next]!.offset < end) next++;
    const wasSeen = next < seen.length && seen[next]!.offset === end;
    if (!wasSeen && at + size < raw.length) continue;
    // A commit between two looks is no later than the next look. If there is none yet, the last look dates it.
    const time = Math.max((seen[next] ?? seen.at(-1))?.time ?? 0, marks.at(-1)?.time ?? point.state.time);
    marks.push({ offset: end, time, pages: hashes.pages, checksum: hashes.checksum, restorable: end >= replayEnd });
  }
  return { marks: thin(marks), sum };
}

/** Bounds the header: while there are too many marks, every other one is dropped, but never the last. */
function thin(marks: Mark[]): Mark[] {
  let kept = marks;
  while (kept.length > MAX_MARKS) kept = kept.filter((_, i) => (kept.length - 1 - i) % 2 === 0);
  return kept;
}
