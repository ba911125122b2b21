/** Unpacks a run of a snapshot's blocks for a file: checks the CRCs, decodes, lays the WAL's pages over, hashes each page. */
import { crc32 } from '../../runtime/crc32.ts';
import { corrupt } from '../../terms/errors.ts';
import { decoderOf } from '../../format/block-decoders.ts';
import { blockBuffer, hashBlockBuffer } from '../../format/block-buffer.ts';
import type { CodecName } from '../../terms/layout.ts';

/** Where a page comes from: the snapshot; nowhere, since the file has it already or does not need it; a patch. */
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

/** Blocks that are stored one after the other, and what happens to their pages. */
export interface PackedRun {
  readonly codec: CodecName;
  readonly pageSize: number;
  readonly firstPage: number;
  /** Stored bytes. */
  readonly length: number;
  readonly blocks: readonly PackedBlock[];
  /** One of PAGE for each page. */
  readonly pages: Uint8Array;
  /** The content of each page that is patched, in order. */
  readonly patches: readonly Uint8Array[];
}

/** Adjacent pages that are written into the file. */
export interface Piece {
  readonly bytes: Buffer;
  /** Bytes from the start of the file. */
  readonly position: number;
}

/**
 * Unpacks a run block by block, and yields what must be written. A piece is valid until the next one is requested, and
 * only as long as this thread unpacks nothing else. With `into`, a buffer for a whole block, the second limit does not
 * apply. The hash of each page is put into `hashes`. Throws `corrupt` (SNAPSHOT_BLOCK_CRC, or what the decoder throws).
 */
export function* unpackRun(run: PackedRun, stored: Buffer, hashes: BigUint64Array, into?: Buffer): Generator<Piece> {
  const { pageSize, firstPage, pages } = run;
  const decode = decoderOf(run.codec);
  let index = 0;
  let patch = 0;
  for (const { block, at, length, crc, rawLength } of run.blocks) {
    const bytes = stored.subarray(at, at + length);
    if (crc32(bytes) !== crc) throw corrupt('SNAPSHOT_BLOCK_CRC', `block ${block} does not match its CRC`);
    const room = decode(bytes, rawLength, blockBuffer(rawLength));
    const begin = index;
    const end = begin + rawLength / pageSize;
    for (; index < end; index++) {
      if (pages[index] === PAGE.patched) room.set(run.patches[patch++]!, (index - begin) * pageSize);
    }
    hashes.set(hashBlockBuffer(firstPage + begin, pageSize, end - begin), begin);
    const raw = into === undefined ? room : into.subarray(0, room.copy(into));
    for (let from = begin; from < end; from++) {
      if (pages[from] === PAGE.passedOver) continue;
      let to = from + 1;
      while (to < end && pages[to] !== PAGE.passedOver) to++;
      const position = (firstPage + from - 1) * pageSize;
      yield { bytes: raw.subarray((from - begin) * pageSize, (to - begin) * pageSize), position };
      from = to;
    }
  }
}
