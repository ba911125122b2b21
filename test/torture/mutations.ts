/** Ways to damage an object: from single bits to lies under right checksums. */
import { crc32 } from 'node:zlib';
import { codec } from '../../replica/format/codec.ts';
import { decodeSegment, encodeSegment, parseSegmentHeader } from '../../replica/format/segment.ts';
import { FOOTER_LENGTH, PAGE_HASH, TABLE_ENTRY } from '../../replica/format/snapshot.ts';
import type { Seeded } from '../history/seeded.ts';

/** `forged`: checksums were made right again, so what nothing can contradict may differ. */
export interface Mutant {
  readonly bytes: Buffer;
  readonly how: string;
  readonly forged: boolean;
}

export type Kind = 'segment' | 'snapshot' | 'control';

const EXTREMES = [0, 1, 2, 255, 512, 65_535, 65_537, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
const WORDS: readonly unknown[] = [null, -1, 1e308, 0.5, 2 ** 53, '', '0', 'é\u0000', [], {}, true, 'f'.repeat(5000)];
const EDGE = 300;
const LZ4_MAGIC = 0x184d2204;

/** Damages `original`; `others` are objects to take pieces from. */
export function mutate(original: Buffer, kind: Kind, others: readonly Buffer[], random: Seeded): Mutant {
  return random.weighted<() => Mutant>([
    [3, () => plain(flip(original, random), 'bits flipped')],
    [2, () => plain(cut(original, random), 'cut or prolonged')],
    [2, () => plain(splice(original, random.pick(others), random), 'spliced with another object')],
    [2, () => plain(overwrite(original, random), 'a field overwritten')],
    [8, () => forge(original, kind, random)],
  ])();
}

function plain(bytes: Buffer, how: string): Mutant {
  return { bytes, how, forged: false };
}

/** Mostly where the structure is: near the ends. */
function place(length: number, random: Seeded): number {
  const edge = Math.min(EDGE, length);
  return Math.max(
    0,
    random.weighted([
      [2, random.int(edge)],
      [2, length - 1 - random.int(edge)],
      [2, random.int(length)],
    ] as const),
  );
}

function flip(original: Buffer, random: Seeded): Buffer {
  const bytes = Buffer.from(original);
  for (let i = random.range(1, 12); i > 0; i--) bytes[place(bytes.length, random)]! ^= 1 << random.int(8);
  return bytes;
}

function cut(original: Buffer, random: Seeded): Buffer {
  if (random.chance(0.7)) return Buffer.from(original.subarray(0, random.int(original.length)));
  return Buffer.concat([original, random.noise(random.range(1, 5000))]);
}

function splice(original: Buffer, other: Buffer, random: Seeded): Buffer {
  const [from, to] = [place(original.length, random), place(other.length, random)];
  return Buffer.concat([original.subarray(0, from), other.subarray(to)]);
}

function overwrite(original: Buffer, random: Seeded): Buffer {
  const bytes = Buffer.from(original);
  const at = Math.min(place(bytes.length, random), bytes.length - 4);
  bytes.writeUInt32LE(random.pick(EXTREMES), at);
  if (random.chance(0.2) && at + 8 <= bytes.length) bytes.writeUInt32LE(random.pick(EXTREMES), at + 4);
  return bytes;
}

function forge(original: Buffer, kind: Kind, random: Seeded): Mutant {
  if (kind === 'control') return { bytes: forgeControl(original, random), how: 'values forged', forged: true };
  if (kind === 'segment' && random.chance(0.3))
    return { bytes: forgeWal(original, random), how: 'WAL forged', forged: true };
  const bytes = Buffer.from(original);
  const regions = kind === 'segment' ? segmentRegions(bytes) : snapshotRegions(bytes);
  const [name, from, to] = random.pick(regions);
  for (let i = random.range(1, 3); i > 0; i--) {
    const at = from + random.int(Math.max(1, to - from - 3));
    if (random.chance(0.6) && at + 4 <= bytes.length) bytes.writeUInt32LE(random.pick(EXTREMES), at);
    else bytes[at]! ^= 1 << random.int(8);
  }
  if (kind === 'segment') resealSegment(bytes);
  else resealSnapshot(original, bytes);
  return { bytes, how: `${name} forged under right checksums`, forged: true };
}

type Region = readonly [name: string, from: number, to: number];

function segmentRegions(bytes: Buffer): Region[] {
  const header = 8 + bytes.readUInt32LE(4);
  return [
    ['header', 8, header - 4],
    ['marks', 100, header - 4],
    ['frame of the codec', header, header + 24],
    ['body', header, bytes.length],
  ];
}

/** Makes the checksums of a segment right again. */
export function resealSegment(bytes: Buffer): void {
  const header = 8 + bytes.readUInt32LE(4);
  if (header > bytes.length) return;
  bytes.writeUInt32LE(crc32(bytes.subarray(header)), 8 + 44);
  bytes.writeUInt32LE(crc32(bytes.subarray(8, header - 4)), header - 4);
}

/** Other frames, packed as right ones are: only the WAL’s own chain is left to notice. */
function forgeWal(original: Buffer, random: Seeded): Buffer {
  const header = parseSegmentHeader(original);
  if (header === undefined || 'needs' in header) throw new Error('no segment of ours');
  const name = original.readUInt32LE(header.bodyStart) === LZ4_MAGIC ? 'lz4' : 'zstd';
  const raw = Buffer.from(decodeSegment(original, header, name));
  const at = place(raw.length, random);
  if (random.chance(0.3) && at + 4 <= raw.length) raw.writeUInt32BE(random.pick(EXTREMES), at);
  else raw[at]! ^= 1 << random.int(8);
  return encodeSegment(header, raw, codec(name));
}

function snapshotRegions(bytes: Buffer): Region[] {
  const { hashes, table, footer } = trailerOf(bytes);
  return [
    ['header', 8, 132],
    ['blocks', 136, hashes - 8],
    ['page hashes', hashes, table],
    ['block table', table, footer],
    ['footer', footer, bytes.length - 4],
  ];
}

function trailerOf(bytes: Buffer): { readonly hashes: number; readonly table: number; readonly footer: number } {
  const footer = bytes.length - FOOTER_LENGTH;
  const table = footer - bytes.readUInt32LE(footer + 68) * TABLE_ENTRY;
  const pages = bytes.readUInt32LE(footer + 12 + 16);
  return { hashes: table - pages * PAGE_HASH, table, footer };
}

/** Makes the checksums right again, those of the blocks as the unchanged table delimits them included. */
function resealSnapshot(original: Buffer, bytes: Buffer): void {
  const { hashes, table, footer } = trailerOf(original);
  bytes.writeUInt32LE(crc32(bytes.subarray(8, 132)), 132);
  const blocks = original.readUInt32LE(footer + 68);
  // Blocks lie back to back and end 8 bytes before the page hashes: at the frame of the trailer and the end mark.
  let end = hashes - 8 - 4;
  for (let block = blocks - 1; block >= 0; block--) {
    const length = original.readUInt32LE(table + block * TABLE_ENTRY);
    const changed = !original.subarray(end - length, end).equals(bytes.subarray(end - length, end));
    if (changed) bytes.writeUInt32LE(crc32(bytes.subarray(end - length, end)), table + block * TABLE_ENTRY + 4);
    end -= length;
  }
  bytes.writeUInt32LE(crc32(bytes.subarray(hashes, table)), footer + 80);
  bytes.writeUInt32LE(crc32(bytes.subarray(table, footer)), footer + 84);
  bytes.writeUInt32LE(crc32(bytes.subarray(footer, -4)), bytes.length - 4);
}

/** Another value, another type, a field more or less, under a right CRC. */
function forgeControl(original: Buffer, random: Seeded): Buffer {
  const parsed = JSON.parse(original.toString()) as Record<string, unknown>;
  delete parsed['crc32'];
  const body = parsed['body'] as Record<string, unknown>;
  const target = random.chance(0.8) ? body : parsed;
  const names = [...Object.keys(target), 'more', '__proto__'];
  const name = random.pick(names);
  if (random.chance(0.2)) Reflect.deleteProperty(target, name);
  else Object.defineProperty(target, name, { value: random.pick(WORDS), enumerable: true, configurable: true });
  const open = JSON.stringify(parsed).slice(0, -1);
  return Buffer.from(`${open},"crc32":"${crc32(open).toString(16).padStart(8, '0')}"}`);
}
