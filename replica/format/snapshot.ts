/**
 * A snapshot's bytes: header frame, the database file in blocks, trailer frame.
 *
 * A block holds a fixed range of pages and is decoded by itself. The trailer holds one hash per page, one entry per block,
 * and a footer of fixed size at the very end of the object, so that one ranged GET of the end tells a reader where
 * everything lies. docs/FORMAT.md gives every byte.
 */
import { crc32 } from '../runtime/crc32.ts';
import { corrupt, SeawallError } from '../terms/errors.ts';
import type { CodecName } from '../terms/layout.ts';
import { isPageSize } from '../wal/format.ts';
import { BLOCK_SIZE, isReadableBlock } from './block-size.ts';
import type { DatabaseState } from '../terms/database-state.ts';
import { safeNumber, checkEnvelope } from './envelope.ts';
import { MAX_SKIPPABLE, parseSkippableHead, skippableHead, SKIPPABLE_OVERHEAD } from './skippable-frame.ts';

const HEADER_SIGNATURE = Buffer.from('SEAWALLS');
const FOOTER_SIGNATURE = Buffer.from('SEAWALLT');
const VERSION = 1;
const HEADER_LENGTH = 128;
export const FOOTER_LENGTH = 96;
export const SNAPSHOT_HEADER_LENGTH = SKIPPABLE_OVERHEAD + HEADER_LENGTH;
const REASON_LENGTH = 40;
const HAS_PARENT = 1;
const HAS_FILE = 2;
export const TABLE_ENTRY = 8;
export const PAGE_HASH = 8;
/** Bytes read from an object's end: the footer and, for databases up to a few GiB, the block table. */
export const TRAILER_PROBE = 64 << 10;

/** What a snapshot's header says. */
export interface SnapshotFacts extends DatabaseState {
  readonly generation: string;
  /** The snapshot is the state at the end of index `index` − 1. */
  readonly index: number;
  readonly pageSize: number;
  /** Why the snapshot was made: why its generation began, or `compaction`, or `request`. At most 40 ASCII characters. */
  readonly reason: string;
  /** The generation that came before, for the first snapshot of one; else absent. */
  readonly parent?: string;
  /** Permissions and owner of the database file, if known, so that a restore can set them. */
  readonly file?: FileOwner;
}

/** Permissions and owner of the database file. */
export interface FileOwner {
  /** Permission bits, as of chmod(2). */
  readonly mode: number;
  /** User id. */
  readonly uid: number;
  /** Group id. */
  readonly gid: number;
}

/** The part of the facts that header and footer both carry. */
export type CoreFacts = Omit<SnapshotFacts, 'reason' | 'parent' | 'file'>;

export interface SnapshotFooter {
  readonly facts: CoreFacts;
  readonly codec: CodecName;
  /** Pages in each block but the last; {@link pagesPerBlock} unless another release wrote the object. */
  readonly blockPages: number;
  readonly blocks: number;
  /** Offset of the trailer frame in the object. */
  readonly trailerStart: number;
  readonly hashesCrc: number;
  readonly tableCrc: number;
}

/** One block as stored. */
export interface BlockEntry {
  readonly length: number;
  readonly crc: number;
}

/** Pages in a block of a snapshot that is written: 1 MiB of them. */
export function pagesPerBlock(pageSize: number): number {
  return BLOCK_SIZE / pageSize;
}

/** Blocks of a snapshot that is written. */
export function blockCount(pages: number, pageSize: number): number {
  return Math.ceil(pages / pagesPerBlock(pageSize));
}

/** The header frame, as it stands at the start of the object. @throws RangeError for a reason of more than 40 characters */
export function encodeSnapshotHeader(facts: SnapshotFacts): Buffer {
  const reason = Buffer.from(facts.reason, 'latin1');
  if (reason.length > REASON_LENGTH)
    throw new RangeError(`a reason has at most ${REASON_LENGTH} characters: ${facts.reason}`);
  const payload = Buffer.alloc(HEADER_LENGTH);
  HEADER_SIGNATURE.copy(payload, 0);
  payload.writeUInt16LE(VERSION, 8);
  payload.writeUInt16LE((facts.parent === undefined ? 0 : HAS_PARENT) | (facts.file === undefined ? 0 : HAS_FILE), 10);
  writeFacts(payload, 12, facts);
  payload.write(facts.parent ?? '', 64, 'hex');
  reason.copy(payload, 72);
  if (facts.file !== undefined) {
    payload.writeUInt32LE(facts.file.mode & 0o7777, 112);
    payload.writeUInt32LE(facts.file.uid, 116);
    payload.writeUInt32LE(facts.file.gid, 120);
  }
  payload.writeUInt32LE(crc32(payload.subarray(0, -4)), HEADER_LENGTH - 4);
  return Buffer.concat([skippableHead(HEADER_LENGTH), payload]);
}

/** Parses the header frame at the start of an object. Throws `corrupt` (SNAPSHOT_…, OBJECT_CUT_SHORT) or `unsupported`. */
export function parseSnapshotHeader(bytes: Buffer): SnapshotFacts {
  if (bytes.length < SNAPSHOT_HEADER_LENGTH) throw corrupt('OBJECT_CUT_SHORT', `${bytes.length} bytes are no snapshot`);
  const length = parseSkippableHead(bytes, HEADER_LENGTH);
  if (length !== HEADER_LENGTH) throw corrupt('SNAPSHOT_HEADER', `a snapshot header of ${length} bytes`);
  const payload = bytes.subarray(SKIPPABLE_OVERHEAD, SNAPSHOT_HEADER_LENGTH);
  checkEnvelope(payload, HEADER_SIGNATURE, VERSION, 'SNAPSHOT');
  const reason = payload.toString('latin1', 72, 72 + REASON_LENGTH).replace(/\0+$/, '');
  const flags = payload.readUInt16LE(10);
  if ((flags & ~(HAS_PARENT | HAS_FILE)) !== 0)
    throw corrupt('SNAPSHOT_HEADER', `unknown flags 0x${flags.toString(16)}`);
  return {
    ...readFacts(payload, 12),
    reason,
    ...((flags & HAS_PARENT) !== 0 && { parent: payload.toString('hex', 64, 72) }),
    ...((flags & HAS_FILE) !== 0 && {
      file: { mode: payload.readUInt32LE(112), uid: payload.readUInt32LE(116), gid: payload.readUInt32LE(120) },
    }),
  };
}

/** The trailer as it stands in the object, in pieces: frame head, page hashes, block table, footer. */
export function encodeTrailer(
  facts: SnapshotFacts,
  codec: CodecName,
  trailerStart: number,
  hashes: Buffer,
  blocks: readonly BlockEntry[],
): Buffer[] {
  const table = Buffer.allocUnsafe(blocks.length * TABLE_ENTRY);
  blocks.forEach((block, i) => {
    table.writeUInt32LE(block.length, i * TABLE_ENTRY);
    table.writeUInt32LE(block.crc, i * TABLE_ENTRY + 4);
  });
  const footer = Buffer.alloc(FOOTER_LENGTH);
  FOOTER_SIGNATURE.copy(footer, 0);
  footer.writeUInt16LE(VERSION, 8);
  footer.writeUInt16LE(codec === 'zstd' ? 1 : 0, 10);
  writeFacts(footer, 12, facts);
  footer.writeUInt32LE(pagesPerBlock(facts.pageSize), 64);
  footer.writeUInt32LE(blocks.length, 68);
  footer.writeBigUInt64LE(BigInt(trailerStart), 72);
  footer.writeUInt32LE(crc32(hashes), 80);
  footer.writeUInt32LE(crc32(table), 84);
  // 88 to 91: reserved, zero
  footer.writeUInt32LE(crc32(footer.subarray(0, -4)), FOOTER_LENGTH - 4);
  return [skippableHead(hashes.length + table.length + FOOTER_LENGTH), hashes, table, footer];
}

/** Throws `unsupported` (DATABASE_TOO_LARGE) if the trailer would not fit into a skippable frame: above about 2 TiB of 4 KiB pages. */
export function checkSnapshotSize(pages: number, pageSize: number): void {
  if (pages * PAGE_HASH + blockCount(pages, pageSize) * TABLE_ENTRY + FOOTER_LENGTH > MAX_SKIPPABLE) {
    throw new SeawallError('unsupported', 'DATABASE_TOO_LARGE', `a database of ${pages} pages is beyond this format`);
  }
}

/** Whether an object's last bytes are a footer of Seawall's; Litestream's objects have none. */
export function endsWithFooter(end: Buffer): boolean {
  return end.length >= FOOTER_LENGTH && end.subarray(-FOOTER_LENGTH, -FOOTER_LENGTH + 8).equals(FOOTER_SIGNATURE);
}

/**
 * Parses the last bytes of a snapshot of `size` bytes. Throws `corrupt` (FOOTER_…, SNAPSHOT_FOOTER), or `unsupported` for
 * another version (FOOTER_VERSION) or a block size that readers have no buffers for (SNAPSHOT_BLOCK_SIZE).
 */
export function parseFooter(end: Buffer, size: number): SnapshotFooter {
  if (!endsWithFooter(end)) throw corrupt('SNAPSHOT_FOOTER', 'no snapshot footer at the end of the object');
  const footer = end.subarray(-FOOTER_LENGTH);
  checkEnvelope(footer, FOOTER_SIGNATURE, VERSION, 'FOOTER');
  const facts = readFacts(footer, 12);
  const parsed: SnapshotFooter = {
    facts,
    codec: footer.readUInt16LE(10) === 1 ? 'zstd' : 'lz4',
    blockPages: footer.readUInt32LE(64),
    blocks: footer.readUInt32LE(68),
    trailerStart: safeNumber(footer.readBigUInt64LE(72), 'SNAPSHOT_FOOTER'),
    hashesCrc: footer.readUInt32LE(80),
    tableCrc: footer.readUInt32LE(84),
  };
  if (!isReadableBlock(parsed.blockPages, facts.pageSize)) {
    throw new SeawallError(
      'unsupported',
      'SNAPSHOT_BLOCK_SIZE',
      `its blocks hold ${parsed.blockPages} pages of ${facts.pageSize} bytes; this release reads blocks of a power of ` +
        `two up to ${BLOCK_SIZE} bytes. Use a newer release.`,
      { actual: parsed.blockPages },
    );
  }
  const trailer = SKIPPABLE_OVERHEAD + facts.pages * PAGE_HASH + parsed.blocks * TABLE_ENTRY + FOOTER_LENGTH;
  if (
    footer.readUInt16LE(10) > 1 ||
    parsed.blocks !== Math.ceil(facts.pages / parsed.blockPages) ||
    parsed.trailerStart + trailer !== size
  ) {
    throw corrupt('SNAPSHOT_FOOTER', 'impossible values in the snapshot footer');
  }
  return parsed;
}

/**
 * Parses the block table, and checks it against the footer and the bytes that the blocks must fill. `firstBlock` is the
 * offset of the first block, `epilogue` the bytes after the last one. Throws `corrupt` (SNAPSHOT_TABLE…).
 */
export function parseTable(table: Buffer, footer: SnapshotFooter, firstBlock: number, epilogue: number): BlockEntry[] {
  if (crc32(table) !== footer.tableCrc) throw corrupt('SNAPSHOT_TABLE_CRC', 'the block table does not match its CRC');
  const blocks: BlockEntry[] = [];
  let total = 0;
  for (let at = 0; at < table.length; at += TABLE_ENTRY) {
    const length = table.readUInt32LE(at);
    if (length === 0 || length > BLOCK_SIZE * 2) throw corrupt('SNAPSHOT_TABLE', `a block of ${length} bytes`);
    blocks.push({ length, crc: table.readUInt32LE(at + 4) });
    total += length;
  }
  if (firstBlock + total + epilogue !== footer.trailerStart) {
    throw corrupt('SNAPSHOT_TABLE', 'the blocks do not fill the space between header and trailer');
  }
  return blocks;
}

function writeFacts(into: Buffer, at: number, facts: CoreFacts): void {
  into.writeUInt32LE(facts.pageSize, at);
  into.write(facts.generation, at + 4, 'hex');
  into.writeUInt32LE(facts.index, at + 12);
  into.writeUInt32LE(facts.pages, at + 16);
  into.writeBigUInt64LE(BigInt(facts.time), at + 20);
  into.writeBigUInt64LE(facts.checksum, at + 28);
  // at + 36 to at + 51: reserved, zero
}

function readFacts(from: Buffer, at: number): CoreFacts {
  const pageSize = from.readUInt32LE(at);
  const pages = from.readUInt32LE(at + 16);
  if (!isPageSize(pageSize) || pages === 0)
    throw corrupt('SNAPSHOT_HEADER', 'impossible values in the snapshot header');
  return {
    pageSize,
    generation: from.toString('hex', at + 4, at + 12),
    index: from.readUInt32LE(at + 12),
    pages,
    time: safeNumber(from.readBigUInt64LE(at + 20), 'SNAPSHOT_HEADER'),
    checksum: from.readBigUInt64LE(at + 28),
  };
}
