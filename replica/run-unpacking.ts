/** What is done to a run of a snapshot's blocks on its way into a file: CRC, decoding, the WAL's pages, a hash for each. */
import { crc32 } from 'node:zlib';
import { corrupt } from './errors.ts';
import { codec as codecNamed } from './format/codec.ts';
import { hashPage } from './format/page-hashes.ts';
import type { CodecName } from './layout.ts';

/** Whose a page is: the snapshot's; nothing's that belongs into the file, or in it already; one of the patches. */
export const PAGE = { snapshot: 0, passedOver: 1, patched: 2 } as const;

/** What the trailer says of one block. */
export interface PackedBlock {
  readonly block: number;
  /** Where it is in the run. */
  readonly at: number;
  readonly length: number;
  readonly crc: number;
  /** Bytes it decodes to, whole pages. */
  readonly rawLength: number;
}

/** Blocks that lie one after the other, and what becomes of their pages. */
export interface PackedRun {
  readonly codec: CodecName;
  readonly pageSize: number;
  readonly firstPage: number;
  /** Stored bytes. */
  readonly length: number;
  readonly blocks: readonly PackedBlock[];
  /** One of PAGE for each page. */
  readonly pages: Uint8Array;
  /** The content of each that is patched, in order. */
  readonly patches: readonly Uint8Array[];
}

/** Pages next to each other that go into the file. */
export interface Piece {
  readonly bytes: Buffer;
  /** In the file. */
  readonly position: number;
}

/**
 * Unpacks a run block by block into `room`, which has space for a whole block, and yields what is to be written; a piece
 * is valid until the next is asked for. The hash of each page that was yielded is put into `hashes`. Throws `corrupt`.
 */
export function* unpackRun(run: PackedRun, stored: Buffer, hashes: BigUint64Array, room: Buffer): Generator<Piece> {
  const { pageSize, firstPage, pages } = run;
  const codec = codecNamed(run.codec);
  let index = 0;
  let patch = 0;
  for (const { block, at, length, crc, rawLength } of run.blocks) {
    const bytes = stored.subarray(at, at + length);
    if (crc32(bytes) !== crc) throw corrupt('SNAPSHOT_BLOCK_CRC', `block ${block} does not match its CRC`);
    const raw = codec.decodeBlock(bytes, rawLength, room);
    const begin = index;
    const end = begin + rawLength / pageSize;
    let from = begin;
    for (; index <= end; index++) {
      if (index < end && pages[index] !== PAGE.passedOver) {
        const page = raw.subarray((index - begin) * pageSize, (index - begin + 1) * pageSize);
        if (pages[index] === PAGE.patched) page.set(run.patches[patch++]!);
        hashes[index] = hashPage(firstPage + index, page);
        continue;
      }
      if (index > from) {
        const position = (firstPage + from - 1) * pageSize;
        yield { bytes: raw.subarray((from - begin) * pageSize, (index - begin) * pageSize), position };
      }
      from = index + 1;
    }
    index = end;
  }
}
