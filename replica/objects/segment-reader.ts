/** Reads the WAL from a bucket, segment by segment, and checks every frame. */
import { corrupt, withKey } from '../terms/errors.ts';
import { once } from '../format/byte-source.ts';
import { lz4DecodeStream } from '../format/lz4/frame.ts';
import {
  decodeSegment,
  isIntact,
  MAX_SEGMENT_HEADER,
  MAX_SEGMENT_RAW,
  parseSegmentHeader,
  SEGMENT_HEADER_PROBE,
  type ParsedSegmentHeader,
} from '../format/segment.ts';
import { segmentKey, type CodecName } from '../terms/layout.ts';
import { mapOrdered } from '../runtime/map-ordered.ts';
import { formatPosition } from '../terms/position.ts';
import { release } from '../runtime/release.ts';
import { TicketReader } from '../store/read-ticket.ts';
import type { Store } from '../store/store.ts';
import type { WalSum } from '../wal/checksum.ts';
import { WalCursor, type Frame } from '../wal/cursor.ts';
import type { WalHeader } from '../wal/format.ts';

/** One segment object, as a listing shows it. */
export interface SegmentRef {
  /** WAL index, from 0 in each generation. */
  readonly index: number;
  /** The byte of that WAL file at which the segment begins. */
  readonly offset: number;
  /** How it is compressed. */
  readonly codec: CodecName;
  /** Bytes stored. */
  readonly size: number;
  /** By the store's clock, milliseconds since 1970. */
  readonly lastModified: number;
}

export interface SegmentFrames {
  readonly segment: SegmentRef;
  /** Absent if another program (Litestream) wrote the object. */
  readonly header: ParsedSegmentHeader | undefined;
  /** Their content is valid until the next frames are requested, because the buffer is reused. */
  readonly frames: readonly Frame[];
  /** False while more of the same segment follows (large objects of other programs come in pieces). */
  readonly complete: boolean;
  /** The end of the WAL after these frames: the byte, the WAL's header, and the chain's checksum. */
  readonly tail: { readonly offset: number; readonly wal: WalHeader | undefined; readonly sum: WalSum };
}

/** Stored bytes up to which an object is read whole. Seawall's segments are never larger; Litestream's may be. */
const WHOLE = MAX_SEGMENT_RAW + MAX_SEGMENT_HEADER + (1 << 20);
/** Segments fetched at the same time: enough to hide latency, within a bound of stored bytes. */
const AHEAD = 16;
const AHEAD_BYTES = 8 << 20;

/** The header of one segment, by a small ranged read. Undefined if another program wrote the object. Throws `corrupt`. */
export async function readSegmentHeader(
  store: Store,
  generation: string,
  segment: SegmentRef,
): Promise<ParsedSegmentHeader | undefined> {
  const key = segmentKey(generation, segment.index, segment.offset, segment.codec);
  try {
    let length = Math.min(SEGMENT_HEADER_PROBE, segment.size);
    for (;;) {
      const parsed = parseSegmentHeader((await store.get(key, { offset: 0, length })).body);
      if (parsed === undefined) return undefined;
      if ('needs' in parsed) {
        if (parsed.needs > segment.size) throw corrupt('OBJECT_CUT_SHORT', 'the object ends inside its header');
        length = parsed.needs;
        continue;
      }
      checkIdentity(parsed, generation, segment);
      return parsed;
    }
  } catch (error) {
    throw withKey(error, key);
  }
}

/**
 * Reads the frames of WAL segments, in order. `segments` are those of whole indexes, ascending by index and offset. Throws
 * `corrupt` if a segment is damaged or missing (WAL_GAP).
 */
export async function* readWal(
  store: Store,
  generation: string,
  segments: readonly SegmentRef[],
): AsyncGenerator<SegmentFrames> {
  using reader = new TicketReader();
  const open = async (segment: SegmentRef): Promise<{ segment: SegmentRef; key: string; opened: OpenSegment }> => {
    const key = segmentKey(generation, segment.index, segment.offset, segment.codec);
    try {
      return { segment, key, opened: await openSegment(store, generation, segment, reader) };
    } catch (error) {
      throw withKey(error, key);
    }
  };
  const limit = { weigh: ({ size }: SegmentRef) => (size > WHOLE ? 0 : size), most: AHEAD_BYTES };
  let cursor: WalCursor | undefined;
  let index: number | undefined;
  let expected = 0;
  let scratch = Buffer.alloc(0);
  try {
    for await (const { segment, key, opened } of mapOrdered(segments, AHEAD, open, limit)) {
      if (cursor === undefined || segment.index !== index) {
        ({ index } = segment);
        cursor = new WalCursor(generation, index);
        expected = 0;
      }
      if (segment.offset !== expected) throw gap(generation, index, expected, key);
      try {
        if ('header' in opened) {
          const { header, body } = opened;
          if (scratch.length < header.rawLength) {
            release(scratch);
            scratch = Buffer.allocUnsafeSlow(header.rawLength);
          }
          const frames = cursor.feed(decodeSegment(body, header, segment.codec, scratch));
          release(body);
          assertMarksMatchFrames(header, frames);
          expected = segment.offset + header.rawLength;
          yield { segment, header, frames, complete: true, tail: tailOf(cursor) };
        } else {
          let length = 0;
          for await (const raw of opened.raw()) {
            length += raw.length;
            const frames = cursor.feed(raw);
            yield { segment, header: undefined, frames, complete: false, tail: tailOf(cursor) };
          }
          expected = segment.offset + length;
          yield { segment, header: undefined, frames: [], complete: true, tail: tailOf(cursor) };
        }
        if (cursor.offset !== expected) {
          throw corrupt('SEGMENT_LENGTH', 'the segment does not end on a frame boundary');
        }
      } catch (error) {
        throw withKey(error, key);
      }
    }
  } finally {
    release(scratch);
  }
}

function tailOf({ offset, header, sum }: WalCursor): SegmentFrames['tail'] {
  return { offset, wal: header, sum };
}

/** One of Seawall's segments with its bytes; for another program's, the raw WAL bytes in pieces. */
export type OpenSegment =
  { readonly header: ParsedSegmentHeader; readonly body: Buffer } | { readonly raw: () => AsyncGenerator<Buffer> };

async function openSegment(
  store: Store,
  generation: string,
  segment: SegmentRef,
  reader?: TicketReader,
): Promise<OpenSegment> {
  const key = segmentKey(generation, segment.index, segment.offset, segment.codec);
  if (segment.size > WHOLE) return { raw: () => lz4DecodeStream(store.stream(key)) };
  const body = (await readQuickly(store, key, segment.size, reader)) ?? (await store.get(key)).body;
  const header = parseSegmentHeader(body);
  if (header === undefined) return { raw: () => lz4DecodeStream(once(body)) };
  if ('needs' in header) throw corrupt('OBJECT_CUT_SHORT', 'the object ends inside its header');
  checkIdentity(header, generation, segment);
  return { header, body };
}

/**
 * Reads a segment by a ticket, if the ticket is one for HTTP: much less work than `get`, which retries and resumes. Undefined
 * after any failure: then `get` reads it again and reports what is wrong.
 */
async function readQuickly(
  store: Store,
  key: string,
  size: number,
  reader: TicketReader | undefined,
): Promise<Buffer | undefined> {
  if (reader === undefined || store.ticket === undefined) return undefined;
  try {
    const ticket = await store.ticket(key, { offset: 0, length: size });
    if (ticket?.kind !== 'http') return undefined;
    const body = Buffer.allocUnsafeSlow(size);
    await reader.read(ticket, body);
    return isIntact(body) ? body : undefined;
  } catch {
    return undefined;
  }
}

/** The raw WAL bytes of a segment: in one piece for ours, in several for another program's. Throws `corrupt`. */
export async function* readSegmentPieces(
  store: Store,
  generation: string,
  segment: SegmentRef,
): AsyncGenerator<{ readonly header: ParsedSegmentHeader | undefined; readonly raw: Buffer }> {
  try {
    const opened = await openSegment(store, generation, segment);
    if ('header' in opened) {
      yield { header: opened.header, raw: decodeSegment(opened.body, opened.header, segment.codec) };
    } else {
      for await (const raw of opened.raw()) yield { header: undefined, raw };
    }
  } catch (error) {
    throw withKey(error, segmentKey(generation, segment.index, segment.offset, segment.codec));
  }
}

/** Refuses an object under another's key: it would decode without an error, and be wrong. */
function checkIdentity(header: ParsedSegmentHeader, generation: string, segment: SegmentRef): void {
  if (header.generation !== generation || header.index !== segment.index || header.offset !== segment.offset) {
    throw corrupt('SEGMENT_IDENTITY', `holds the segment ${formatPosition(header)}, not the one its key names`);
  }
}

/** Throws `corrupt` (SEGMENT_MARKS) if the header names a commit that the segment's frames do not have. */
export function assertMarksMatchFrames(header: ParsedSegmentHeader, frames: readonly Frame[]): void {
  const commits = new Map(frames.filter((frame) => frame.commitPages !== 0).map((f) => [f.end, f.commitPages]));
  for (const mark of header.marks) {
    if (commits.get(mark.offset) !== mark.pages) {
      throw corrupt('SEGMENT_MARKS', `the header names a commit at byte ${mark.offset} that the frames do not have`);
    }
  }
}

function gap(generation: string, index: number, expected: number, key: string): Error {
  const position = formatPosition({ generation, index, offset: expected });
  return corrupt('WAL_GAP', `the segment at ${position} is missing before it`, { key, position });
}
