/**
 * A WAL segment: a consecutive part of one WAL index, as one object.
 *
 * Layout: a skippable frame with our header, then the raw WAL bytes in the codec's blocks of at most 1 MiB (with LZ4,
 * one frame with a content checksum). The header carries a CRC-32 of itself and one of everything after it, so a change of
 * any byte is detected. docs/FORMAT.md gives every byte.
 */
import { crc32 } from '../runtime/crc32.ts';
import { corrupt } from '../terms/errors.ts';
import { frameSize, isFrameBoundary, isPageSize, WAL_HEADER_SIZE } from '../wal/format.ts';
import { codec as codecNamed, type Codec } from './codec.ts';
import { BLOCK_SIZE } from './block-size.ts';
import type { FrameGrid } from './lz4/wal-encoder.ts';
import { xxh32 } from './xxhash.ts';
import { parseSkippableHead, skippableHead, SKIPPABLE_OVERHEAD } from './skippable-frame.ts';
import { checkEnvelope, safeNumber } from './envelope.ts';
import type { DatabaseState } from '../terms/database-state.ts';

const SIGNATURE = Buffer.from('SEAWALLW');
const VERSION = 1;
const FIXED = 92;
const MARK = 32;
/** Commits that a segment's header lists, at most; if there are more, the oldest marks are joined. */
export const MAX_MARKS = 4096;
/** Raw bytes of a segment, at most; a decoder allocates no more. */
export const MAX_SEGMENT_RAW = 64 << 20;
export const MAX_SEGMENT_HEADER = SKIPPABLE_OVERHEAD + FIXED + MAX_MARKS * MARK + 4;
/** Enough of an object's start to hold the header of any but the busiest segment. */
export const SEGMENT_HEADER_PROBE = 4096;

/** A commit inside a segment, with the state after it. */
export interface Mark extends DatabaseState {
  /** The byte of the WAL file after the commit frame. */
  readonly offset: number;
  /**
   * False inside a run that is replayed over later pages: the database never had the states there, so they are never
   * restored.
   */
  readonly restorable: boolean;
}

export interface SegmentHeader {
  readonly generation: string;
  readonly index: number;
  readonly offset: number;
  readonly pageSize: number;
  /** Raw WAL bytes in this segment. */
  readonly rawLength: number;
  /** The state before this segment: after the last commit of everything older. */
  readonly before: DatabaseState;
  /** Captured commits, oldest first; empty if the segment holds only the middle of a transaction. */
  readonly marks: readonly Mark[];
  /** Whether the last byte is the end of a commit. */
  readonly endsOnCommit: boolean;
}

/** The state after a segment. */
export function stateAfter(header: SegmentHeader): DatabaseState {
  return header.marks.at(-1) ?? header.before;
}

/** `tight`: as small as the codec can make it, which takes longer. */
export type Packing = 'tight' | 'quick';

/**
 * Encodes a whole segment. `raw` is `header.rawLength` bytes of the WAL, from byte `header.offset` on.
 *
 * @throws RangeError for another length, or one outside 1 to {@link MAX_SEGMENT_RAW}
 */
export function encodeSegment(header: SegmentHeader, raw: Buffer, codec: Codec, packing: Packing = 'quick'): Buffer {
  if (raw.length !== header.rawLength || raw.length === 0 || raw.length > MAX_SEGMENT_RAW) {
    throw new RangeError(`a segment holds 1 to ${MAX_SEGMENT_RAW} raw bytes, not ${raw.length}`);
  }
  const body: Buffer[] = [codec.prologue(true)];
  for (let at = 0; at < raw.length; at += BLOCK_SIZE) {
    const frames = packing === 'tight' ? framesFrom(header, at) : undefined;
    body.push(codec.encodeBlock(raw.subarray(at, at + BLOCK_SIZE), frames));
  }
  body.push(codec.epilogue(xxh32(raw, 0)));
  const bodyLength = body.reduce((sum, part) => sum + part.length, 0);
  const bodyCrc = body.reduce((crc, part) => crc32(part, crc), 0);

  const payload = Buffer.alloc(FIXED + header.marks.length * MARK + 4);
  SIGNATURE.copy(payload, 0);
  payload.writeUInt16LE(VERSION, 8);
  payload.writeUInt16LE(header.endsOnCommit ? 1 : 0, 10);
  payload.writeUInt32LE(header.pageSize, 12);
  payload.write(header.generation, 16, 'hex');
  payload.writeUInt32LE(header.index, 24);
  payload.writeBigUInt64LE(BigInt(header.offset), 28);
  payload.writeUInt32LE(header.rawLength, 36);
  payload.writeUInt32LE(bodyLength, 40);
  payload.writeUInt32LE(bodyCrc, 44);
  payload.writeUInt32LE(header.before.pages, 48);
  payload.writeBigUInt64LE(BigInt(header.before.time), 52);
  payload.writeBigUInt64LE(header.before.checksum, 60);
  payload.writeUInt32LE(header.marks.length, 68);
  // 72 to 91: reserved, zero
  header.marks.forEach((mark, i) => {
    const at = FIXED + i * MARK;
    payload.writeBigUInt64LE(BigInt(mark.offset), at);
    payload.writeBigUInt64LE(BigInt(mark.time), at + 8);
    payload.writeBigUInt64LE(mark.checksum, at + 16);
    payload.writeUInt32LE(mark.pages, at + 24);
    payload.writeUInt32LE(mark.restorable ? 1 : 0, at + 28);
  });
  payload.writeUInt32LE(crc32(payload.subarray(0, -4)), payload.length - 4);
  return Buffer.concat([skippableHead(payload.length), payload, ...body]);
}

/** Where the frames begin in the block that begins at byte `at` of the segment. */
function framesFrom({ offset, pageSize }: SegmentHeader, at: number): FrameGrid {
  const size = frameSize(pageSize);
  const past = offset + at - WAL_HEADER_SIZE;
  return { first: past < 0 ? -past : (size - (past % size)) % size, size };
}

export interface ParsedSegmentHeader extends SegmentHeader {
  /** The compressed body: its first byte in the object, its length, and its CRC-32. */
  readonly bodyStart: number;
  readonly bodyLength: number;
  readonly bodyCrc: number;
}

/**
 * Parses the header at the start of an object. Undefined if it is another program's (Litestream's) and has no header. If
 * `bytes` is too short, returns how many bytes are needed. Throws `corrupt` (SEGMENT_…, OBJECT_CUT_SHORT) or `unsupported`.
 */
export function parseSegmentHeader(bytes: Buffer): ParsedSegmentHeader | { readonly needs: number } | undefined {
  if (bytes.length < SKIPPABLE_OVERHEAD) throw corrupt('OBJECT_CUT_SHORT', `${bytes.length} bytes are no segment`);
  if (startsForeign(bytes)) return undefined;
  const length = parseSkippableHead(bytes, MAX_SEGMENT_HEADER - SKIPPABLE_OVERHEAD);
  const bodyStart = SKIPPABLE_OVERHEAD + length;
  if (length < FIXED + 4) throw corrupt('SEGMENT_HEADER', `a segment header of ${length} bytes`);
  if (bytes.length < bodyStart) return { needs: bodyStart };
  const payload = bytes.subarray(SKIPPABLE_OVERHEAD, bodyStart);
  checkEnvelope(payload, SIGNATURE, VERSION, 'SEGMENT');

  const flags = payload.readUInt16LE(10);
  const pageSize = payload.readUInt32LE(12);
  const marksCount = payload.readUInt32LE(68);
  const rawLength = payload.readUInt32LE(36);
  const offset = safeNumber(payload.readBigUInt64LE(28), 'SEGMENT_HEADER');
  if (flags > 1 || !isPageSize(pageSize) || rawLength === 0 || rawLength > MAX_SEGMENT_RAW) {
    throw corrupt('SEGMENT_HEADER', 'impossible values in the segment header');
  }
  const end = offset + rawLength;
  if (!isFrameBoundary(offset, pageSize) || !isFrameBoundary(end, pageSize)) {
    throw corrupt(
      'SEGMENT_LENGTH',
      `bytes ${offset} to ${end} of the WAL do not begin and end with frames of ${pageSize}-byte pages`,
    );
  }
  if (length !== FIXED + marksCount * MARK + 4) {
    throw corrupt('SEGMENT_HEADER', `a header of ${length} bytes cannot hold ${marksCount} marks`);
  }
  const marks: Mark[] = [];
  for (let at = FIXED; at < FIXED + marksCount * MARK; at += MARK) {
    marks.push({
      offset: safeNumber(payload.readBigUInt64LE(at), 'SEGMENT_HEADER'),
      time: safeNumber(payload.readBigUInt64LE(at + 8), 'SEGMENT_HEADER'),
      checksum: payload.readBigUInt64LE(at + 16),
      pages: payload.readUInt32LE(at + 24),
      restorable: payload.readUInt32LE(at + 28) === 1,
    });
  }
  assertMarksInOrder(marks, offset, rawLength, flags === 1);
  return {
    generation: payload.toString('hex', 16, 24),
    index: payload.readUInt32LE(24),
    offset,
    pageSize,
    rawLength,
    before: {
      pages: payload.readUInt32LE(48),
      time: safeNumber(payload.readBigUInt64LE(52), 'SEGMENT_HEADER'),
      checksum: payload.readBigUInt64LE(60),
    },
    marks,
    endsOnCommit: flags === 1,
    bodyStart,
    bodyLength: payload.readUInt32LE(40),
    bodyCrc: payload.readUInt32LE(44),
  };
}

/** Whether a segment matches the CRC in its header. True for another program's object, which only decoding can check. */
export function isIntact(object: Buffer): boolean {
  const header = parseSegmentHeader(object);
  return header === undefined || ('bodyCrc' in header && crc32(object.subarray(header.bodyStart)) === header.bodyCrc);
}

/**
 * Decodes a whole segment: checks its CRC first, then decodes every block and checks the content checksum. The result is the
 * start of `into`, which holds at least `header.rawLength` bytes. Throws `corrupt`.
 */
export function decodeSegment(
  object: Buffer,
  header: ParsedSegmentHeader,
  codecName: Codec['name'],
  into = Buffer.allocUnsafeSlow(header.rawLength),
): Buffer {
  const codec = codecNamed(codecName);
  const body = object.subarray(header.bodyStart);
  if (body.length !== header.bodyLength || crc32(body) !== header.bodyCrc) {
    throw corrupt('SEGMENT_CRC', 'the segment does not match the CRC in its header');
  }
  const prologue = codec.prologue(true);
  if (!body.subarray(0, prologue.length).equals(prologue)) throw corrupt('SEGMENT_FRAME', 'unexpected frame header');
  const raw = into.subarray(0, header.rawLength);
  let at = prologue.length;
  for (let done = 0; done < header.rawLength; done += BLOCK_SIZE) {
    const rawLength = Math.min(BLOCK_SIZE, header.rawLength - done);
    const end = at + codec.blockLength(body, at);
    codec.decodeBlock(body.subarray(at, end), rawLength, raw.subarray(done, done + rawLength));
    at = end;
  }
  if (!body.subarray(at).equals(codec.epilogue(xxh32(raw, 0)))) {
    throw corrupt('SEGMENT_CONTENT_CHECKSUM', 'the content does not match its checksum');
  }
  return raw;
}

/** Whether an object starts with an LZ4 frame, as Litestream's own do, instead of a header of Seawall's. */
export function startsForeign(bytes: Buffer): boolean {
  return bytes.readUInt32LE(0) === 0x184d2204;
}

function assertMarksInOrder(marks: readonly Mark[], offset: number, rawLength: number, endsOnCommit: boolean): void {
  let last = offset;
  let time = 0;
  for (const mark of marks) {
    if (mark.offset <= last || mark.offset > offset + rawLength || mark.time < time) {
      throw corrupt('SEGMENT_HEADER', 'marks out of order in the segment header');
    }
    last = mark.offset;
    time = mark.time;
  }
  if (endsOnCommit !== (marks.length > 0 && last === offset + rawLength)) {
    throw corrupt('SEGMENT_HEADER', 'marks and length disagree in the segment header');
  }
}
