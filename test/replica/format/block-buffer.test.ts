/** The WebAssembly program that unpacks blocks and hashes pages: it matches its source, and computes LZ4 and XXH64. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import assembler from 'wabt';
import { CODE } from '../../../replica/format/lz4/block-program-code.ts';
import { blockBuffer, hashBlockBuffer, unpackLz4 } from '../../../replica/format/block-buffer.ts';
import { BLOCK_SIZE } from '../../../replica/format/block-size.ts';
import { lz4EncodeBlock } from '../../../replica/format/lz4/frame.ts';
import { lz4DecodeBlock } from '../../../replica/format/lz4/block-decoder.ts';
import { hashPage } from '../../../replica/format/xxhash.ts';
import { rerunnable, Seeded, seeds } from '../../history/seeded.ts';

const FILE = 'test/replica/format/block-buffer.test.ts';

test('the code matches its assembled source', async () => {
  const name = 'block-program.wat';
  const source = readFileSync(new URL(`../../../replica/format/lz4/${name}`, import.meta.url), 'utf8');
  const { buffer } = (await assembler()).parseWat(name, source).toBinary({});
  assert.equal(CODE, Buffer.from(buffer).toString('base64'));
});

test('the block buffer stays in place while a block is unpacked into it', () => {
  const buffer = blockBuffer(BLOCK_SIZE);
  unpackLz4(Buffer.alloc(BLOCK_SIZE + Math.ceil(BLOCK_SIZE / 255) + 16), BLOCK_SIZE);
  assert.equal(buffer.length, BLOCK_SIZE);
  const raw = new Seeded(3100).text(BLOCK_SIZE);
  const stored = lz4EncodeBlock(raw);
  const found = lz4DecodeBlock(stored, raw.length, buffer);
  assert.equal(found.buffer, buffer.buffer);
  assert.ok(buffer.equals(raw));
});

/** Written directly from the description of the format. */
function unpackedSlowly(data: Uint8Array, most: number): Buffer | undefined {
  const raw: number[] = [];
  let at = 0;
  const extended = (length: number): number => {
    for (let more = length === 15 ? 255 : 0; more === 255; length += more) more = data[at++] ?? Number.NaN;
    return length;
  };
  while (at < data.length) {
    const token = data[at++]!;
    const literals = extended(token >> 4);
    if (!(at + literals <= data.length) || raw.length + literals > most) return undefined;
    raw.push(...data.subarray(at, (at += literals)));
    if (at === data.length) return Buffer.from(raw);
    const distance = data[at]! + 256 * (data[at + 1] ?? Number.NaN);
    at += 2;
    const length = extended(token & 15) + 4;
    if (!(distance >= 1 && distance <= raw.length) || !(raw.length + length <= most)) return undefined;
    for (let i = 0; i < length; i++) raw.push(raw[raw.length - distance]!);
  }
  return undefined;
}

function expectSame(data: Uint8Array, most: number, what: string): void {
  const expected = unpackedSlowly(data, most);
  const found = unpackLz4(data, most);
  assert.equal(found === undefined, expected === undefined, what);
  if (expected !== undefined) assert.ok(found!.equals(expected), what);
}

/** One sequence after another, each of literals and a match, and literals at the end. */
function packed(sequences: readonly { literals: Buffer; distance: number; length: number }[], end: Buffer): Buffer {
  const more = (rest: number): number[] => (rest < 255 ? [rest] : [255, ...more(rest - 255)]);
  const head = (literals: Buffer, match: number): number[] => [
    (Math.min(literals.length, 15) << 4) | Math.min(match, 15),
    ...(literals.length < 15 ? [] : more(literals.length - 15)),
    ...literals,
  ];
  const bytes = sequences.flatMap(({ literals, distance, length }) => [
    ...head(literals, length - 4),
    distance & 255,
    distance >> 8,
    ...(length - 4 < 15 ? [] : more(length - 4 - 15)),
  ]);
  return Buffer.from([...bytes, ...head(end, 0)]);
}

test('matches of any distance and length, and literals of any number', () => {
  const random = new Seeded(3200);
  for (let distance = 1; distance <= 40; distance++) {
    for (const length of [4, 5, 7, 8, 9, 15, 16, 18, 19, 20, 33, 64, 65, 100, 273, 274, 600]) {
      const data = packed([{ literals: random.noise(distance), distance, length }], random.noise(5));
      const whole = distance + length + 5;
      for (const most of [whole, whole + 1, whole + 100, whole - 1, distance + length - 1, distance, 0]) {
        expectSame(data, most, `distance ${distance}, length ${length}, at most ${most}`);
      }
    }
  }
  for (const literals of [0, 1, 7, 8, 14, 15, 16, 31, 32, 33, 269, 270, 271, 525, 5000]) {
    const data = packed([{ literals: random.noise(literals + 1), distance: 1, length: 9 }], random.noise(literals));
    expectSame(data, 20_000, `${literals} literals`);
  }
});

test('an encoded block round trips; a damaged one is refused, or decodes to what its bytes say', async () => {
  for (const seed of seeds(2, 3300)) {
    await rerunnable(seed, FILE, () => {
      const random = new Seeded(seed);
      for (let i = 0; i < 150; i++) {
        const raw = Buffer.concat([random.text(random.int(3000)), Buffer.alloc(random.int(300)), random.noise(random.int(50)), random.text(20)]); // prettier-ignore
        const data = lz4EncodeBlock(raw).subarray(4);
        if (data.length >= raw.length) continue;
        assert.ok(unpackLz4(data, raw.length)!.equals(raw));
        for (let damaged = 0; damaged < 20; damaged++) {
          const bytes = Buffer.from(data.subarray(0, random.int(3) === 0 ? random.int(data.length) : undefined));
          for (let n = random.int(4); n > 0 && bytes.length > 0; n--) bytes[random.int(bytes.length)] = random.int(256);
          expectSame(bytes, raw.length, `case ${i}.${damaged}`);
        }
      }
    });
  }
});

test('a block longer than any valid one is refused; one of the largest size is unpacked', () => {
  assert.equal(unpackLz4(Buffer.alloc(64 << 20), BLOCK_SIZE), undefined);
  assert.equal(unpackLz4(Buffer.alloc(0), BLOCK_SIZE), undefined);
  const raw = new Seeded(3400).noise(4 << 20);
  assert.ok(unpackLz4(packed([], raw.subarray(0, 100_000)), 4 << 20)!.equals(raw.subarray(0, 100_000)));
  const large = Buffer.concat([Buffer.from([0xf0]), Buffer.alloc(Math.floor(((4 << 20) - 15) / 255), 255), Buffer.from([((4 << 20) - 15) % 255]), raw]); // prettier-ignore
  assert.ok(unpackLz4(large, 4 << 20)!.equals(raw));
});

test('the hashes equal those of the single pages, for every page size and number', () => {
  const random = new Seeded(3500);
  for (let pageSize = 512; pageSize <= 65536; pageSize *= 2) {
    for (const first of [1, 2 ** 31 - 1, 2 ** 32 - 2]) {
      const count = random.range(1, BLOCK_SIZE / pageSize);
      const buffer = blockBuffer(count * pageSize);
      random.noise(buffer.length).copy(buffer);
      const hashes = hashBlockBuffer(first, pageSize, count);
      for (let i = 0; i < count; i++) {
        const page = buffer.subarray(i * pageSize, (i + 1) * pageSize);
        assert.equal(hashes[i], hashPage(first + i, page), `page ${first + i} of ${pageSize} bytes`);
      }
    }
  }
  assert.throws(() => hashBlockBuffer(1, 512, BLOCK_SIZE / 512 + 1), RangeError);
});
