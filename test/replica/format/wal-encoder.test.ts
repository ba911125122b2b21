/** The encoder that knows WAL frames: its output is valid LZ4 for every reader, deterministic, and small. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { codec } from '../../../replica/format/codec.ts';
import { lz4EncodeBlock, lz4Epilogue, lz4Prologue } from '../../../replica/format/lz4/frame.ts';
import { lz4DecodeBlock } from '../../../replica/format/lz4/block-decoder.ts';
import { formerFrames, packFrames, type FrameGrid } from '../../../replica/format/lz4/wal-encoder.ts';
import { decodeSegment, encodeSegment, parseSegmentHeader } from '../../../replica/format/segment.ts';
import { Scratch } from '../../history/scratch.ts';
import { Seeded } from '../../history/seeded.ts';

const HAS_LZ4 = spawnSync('lz4', ['--version']).status === 0;
const RUNS = Number(process.env['RUNS'] ?? 150);

/** What a page is made of, and what a later version of it differs in. */
type Edit =
  | { readonly kind: 'noise' | 'text' | 'zeros'; readonly at: number; readonly length: number }
  | { readonly kind: 'insert' | 'remove'; readonly at: number; readonly length: number };

interface Block {
  readonly raw: Buffer;
  readonly grid: FrameGrid;
}

const edits: fc.Arbitrary<Edit> = fc.record({
  kind: fc.constantFrom('noise', 'text', 'zeros', 'insert', 'remove'),
  at: fc.nat(70_000),
  length: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 70_000 })),
});

/** Frames of a few pages, each version edited from the one before, from and to any byte; the grid may be a lie. */
const blocks: fc.Arbitrary<Block> = fc
  .record({
    pageSize: fc.constantFrom(512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536),
    seed: fc.nat(),
    pages: fc.integer({ min: 1, max: 40 }),
    versions: fc.array(fc.record({ page: fc.nat(), edits: fc.array(edits, { maxLength: 4 }) }), { maxLength: 60 }),
    cut: fc.nat(70_000),
    end: fc.oneof(fc.constant(0), fc.nat(70_000)),
    lie: fc.option(fc.record({ first: fc.nat(70_000), size: fc.integer({ min: 536, max: 70_000 }) }), { freq: 6 }),
  })
  .map(({ pageSize, seed, pages, versions, cut, end, lie }) => {
    const random = new Seeded(seed);
    const size = pageSize + 24;
    const latest = new Map<number, Buffer>();
    const parts: Buffer[] = [];
    // At most 1 MiB, which is a block.
    for (const version of versions.slice(0, Math.floor((1 << 20) / size))) {
      const page = 1 + (version.page % pages);
      const content = Buffer.from(
        latest.get(page) ?? (random.chance(0.5) ? random.noise(pageSize) : Buffer.alloc(pageSize)),
      );
      for (const edit of version.edits) change(content, edit, random);
      latest.set(page, content);
      const head = Buffer.alloc(24);
      head.writeUInt32BE(page, 0);
      random.noise(8).copy(head, 16);
      parts.push(head, content);
    }
    const all = Buffer.concat(parts);
    const from = Math.min(cut, all.length);
    const raw = all.subarray(from, Math.max(from, all.length - end));
    return { raw, grid: lie ?? { first: (size - (from % size)) % size, size } };
  });

function change(content: Buffer, edit: Edit, random: Seeded): void {
  const at = edit.at % content.length;
  const length = Math.min(edit.length, content.length - at);
  if (edit.kind === 'insert') content.copyWithin(at + length, at);
  else if (edit.kind === 'remove') content.copyWithin(at, at + length);
  const fresh = {
    noise: () => random.noise(length),
    text: () => random.text(length),
    zeros: () => Buffer.alloc(length),
  };
  if (edit.kind === 'insert') random.noise(length).copy(content, at);
  else if (edit.kind !== 'remove') fresh[edit.kind]().copy(content, at);
}

/** The block packed by the frames' encoder, whether frames come again in it or not. */
function pack({ raw, grid }: Block): Buffer {
  const count = Math.max(Math.ceil((raw.length - grid.first) / grid.size), 0);
  return Buffer.from(packFrames(raw, grid, formerFrames(raw, grid) ?? new Uint16Array(count)));
}

/** Decodes a block to the letter of the format, its rules about the end included. */
function decodeToTheLetter(data: Buffer, rawLength: number): Buffer {
  const raw = Buffer.alloc(rawLength);
  let out = 0;
  let at = 0;
  let lastMatch: number | undefined;
  const lengthOf = (nibble: number): number => {
    let length = nibble;
    for (let more = nibble === 15 ? 255 : 0; more === 255; length += more) more = data.readUInt8(at++);
    return length;
  };
  for (;;) {
    const token = data.readUInt8(at++);
    const literals = lengthOf(token >> 4);
    assert.ok(at + literals <= data.length && out + literals <= rawLength, 'literals run past the end');
    data.copy(raw, out, at, at + literals);
    at += literals;
    out += literals;
    if (at === data.length) {
      assert.equal(token & 15, 0);
      assert.equal(out, rawLength);
      if (lastMatch !== undefined) {
        assert.ok(literals >= 5, 'the last five bytes are literals');
        assert.ok(lastMatch <= rawLength - 12, 'the last match begins twelve bytes before the end, or earlier');
      }
      return raw;
    }
    const distance = data.readUInt16LE(at);
    at += 2;
    assert.ok(distance >= 1 && distance <= out, `a match ${distance} back at ${out}`);
    lastMatch = out;
    for (let left = lengthOf(token & 15) + 4; left > 0; left--, out++) raw[out] = raw[out - distance]!;
  }
}

test('packed blocks round trip, and follow every rule of the format', () => {
  fc.assert(
    fc.property(blocks, (block) => {
      const packed = pack(block);
      const { raw } = block;
      assert.ok(decodeToTheLetter(packed.subarray(4), raw.length).equals(raw));
      if (raw.length === 0) return;
      const stored = lz4EncodeBlock(raw, block.grid);
      assert.ok(stored.length <= raw.length + 4);
      assert.ok(lz4DecodeBlock(stored, raw.length).equals(raw));
    }),
    { numRuns: RUNS },
  );
});

test('stock lz4 decodes what it packs', () => {
  if (!HAS_LZ4) return;
  const some = fc.sample(blocks, { numRuns: RUNS, seed: 4100 }).filter(({ raw }) => raw.length > 0);
  const bytes = [lz4Prologue(false), ...some.map(({ raw, grid }) => lz4EncodeBlock(raw, grid)), lz4Epilogue()];
  const unpacked = execFileSync('lz4', ['-dc'], { input: Buffer.concat(bytes), maxBuffer: 1 << 30 });
  assert.ok(unpacked.equals(Buffer.concat(some.map(({ raw }) => raw))));
});

test('the same block gives the same bytes, whatever was packed before', () => {
  const some = fc.sample(blocks, { numRuns: 40, seed: 4200 });
  const once = some.map(pack);
  for (const [i, block] of [...some.entries()].reverse()) assert.ok(pack(block).equals(once[i]!));
});

test('another version of a page costs little more than its changed bytes, within the reach of LZ4', () => {
  const random = new Seeded(4300);
  for (const pageSize of [512, 1024, 2048, 4096, 8192, 16_384, 32_768]) {
    const size = pageSize + 24;
    const apart = Math.floor(65_535 / size);
    const pages = Array.from({ length: apart }, () => random.noise(pageSize));
    const parts: Buffer[] = [];
    const versions = 3;
    for (let version = 0; version <= versions; version++) {
      for (const [i, content] of pages.entries()) {
        const cell = random.range(64, pageSize - 64);
        content.copyWithin(20, 18, 60); // as a cell pointer is inserted
        random.noise(2).copy(content, 18);
        random.noise(20).copy(content, cell);
        const head = Buffer.alloc(24);
        head.writeUInt32BE(i + 1, 0);
        random.noise(8).copy(head, 16);
        parts.push(head, Buffer.from(content));
      }
    }
    const raw = Buffer.concat(parts);
    const once = apart * size * (1 + 1 / 255);
    const grid = { first: 0, size };
    const cost = (lz4EncodeBlock(raw, grid).length - once) / (versions * apart);
    assert.ok(cost < 64 + pageSize / 255, `${pageSize}: ${cost} bytes a version`);
  }
});

/** The WAL of a database whose commits insert a row each, past the first block of a segment. */
function busyWal(pageSize: number): Buffer {
  const random = new Seeded(4350);
  using scratch = new Scratch();
  const path = join(scratch.path, 'app.db');
  const db = new Database(path);
  db.pragma(`page_size = ${pageSize}`);
  db.pragma('journal_mode = WAL');
  db.pragma('wal_autocheckpoint = 0');
  db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT, body TEXT); CREATE INDEX by_code ON t (code)');
  const insert = db.prepare('INSERT INTO t (code, body) VALUES (?, ?)');
  for (let i = 0; i < 400; i++) insert.run(random.hex(12), `row ${i}: ${random.hex(60)}`);
  const wal = readFileSync(`${path}-wal`);
  db.close();
  return wal;
}

test('a segment of small commits is packed tighter and decodes to the same WAL, at any offset', () => {
  const pageSize = 4096;
  const size = pageSize + 24;
  const wal = busyWal(pageSize);
  assert.ok(wal.length > 3 << 20);
  const before = { pages: 0, checksum: 0n, time: 0 };
  for (const offset of [0, 32, 32 + size, 32 + 100 * size]) {
    const raw = wal.subarray(offset);
    const place = { generation: '00112233445566aa', index: 0, offset, pageSize, rawLength: raw.length };
    const [tight, quick] = (['tight', 'quick'] as const).map((packing) => {
      const bytes = encodeSegment({ ...place, before, marks: [], endsOnCommit: false }, raw, codec('lz4'), packing);
      const header = parseSegmentHeader(bytes);
      assert.ok(header !== undefined && !('needs' in header));
      assert.ok(decodeSegment(bytes, header, 'lz4').equals(raw));
      return bytes.length;
    });
    assert.ok(tight! < 0.8 * quick!, `from ${offset}: ${tight} of ${quick} bytes`);
  }
});

test('a block without repeated pages is left to the library', () => {
  const random = new Seeded(4400);
  const grid = { first: 0, size: 4120 };
  const pages = Array.from({ length: 200 }, (_, i) => Buffer.concat([Buffer.from([0, 0, 0, i]), random.text(4116)]));
  assert.equal(formerFrames(Buffer.concat(pages), grid), undefined);
  // Out of reach is as good as not there.
  assert.equal(formerFrames(Buffer.concat([...pages.slice(0, 16), pages[0]!]), grid), undefined);
  assert.deepEqual(formerFrames(Buffer.concat([...pages.slice(0, 15), pages[0]!]), grid)?.at(-1), 15 * 4120);
});
