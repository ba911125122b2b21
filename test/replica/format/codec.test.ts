/** Blocks and frames: round trips, frames of other writers, and damage. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteSource, once } from '../../../replica/format/byte-source.ts';
import { codec as codecNamed } from '../../../replica/format/codec.ts';
import { BLOCK_SIZE } from '../../../replica/format/block-size.ts';
import { lz4DecodeFrame } from '../../../replica/format/lz4/frame.ts';
import { xxh32 } from '../../../replica/format/xxhash.ts';
import { expectKind } from '../../history/expect.ts';
import { frame, word } from '../../history/lz4-frame.ts';
import { rerunnable, Seeded, seeds } from '../../history/seeded.ts';

const FILE = 'test/replica/format/codec.test.ts';

function samples(random: Seeded): Buffer[] {
  const sizes = [1, 2, 11, 12, 13, 64, 65, 511, 512, 4096, 65_535, 65_536, 300_000, BLOCK_SIZE - 1, BLOCK_SIZE];
  return sizes.flatMap((size) => {
    const mixed = Buffer.alloc(size);
    random.noise(size >> 1).copy(mixed);
    return [Buffer.alloc(size), random.noise(size), random.text(size), mixed];
  });
}

async function collect(bytes: Buffer): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of lz4DecodeFrame(new ByteSource(once(bytes)))) pieces.push(piece);
  return Buffer.concat(pieces);
}

test('blocks of any content and length round trip, and their length is known without decoding', async () => {
  for (const seed of seeds(1, 3000)) {
    await rerunnable(seed, FILE, () => {
      for (const name of ['lz4', 'zstd'] as const) {
        const codec = codecNamed(name);
        for (const raw of samples(new Seeded(seed))) {
          const stored = codec.encodeBlock(raw);
          assert.ok(codec.decodeBlock(stored, raw.length).equals(raw), `${name}, ${raw.length} bytes`);
          const inside = Buffer.concat([Buffer.alloc(3), stored, Buffer.from('what follows')]);
          assert.equal(codec.blockLength(inside, 3), stored.length);
          assert.ok(stored.length <= raw.length + 512, `${name}: ${raw.length} bytes grew to ${stored.length}`);
        }
      }
    });
  }
});

test('a block never decodes to a length other than the one requested', () => {
  for (const name of ['lz4', 'zstd'] as const) {
    const codec = codecNamed(name);
    const raw = new Seeded(1).text(5000);
    const stored = codec.encodeBlock(raw);
    for (const length of [0, 1, 4999, 5001, BLOCK_SIZE]) {
      assert.throws(() => codec.decodeBlock(stored, length), { kind: 'corrupt' });
    }
  }
});

test('frames with any flags and block sizes decode', async () => {
  const random = new Seeded(3100);
  const flags = [true, false];
  for (const blockId of [4, 5, 6, 7] as const) {
    for (const blockChecksum of flags) {
      for (const contentChecksum of flags) {
        for (const contentSize of flags) {
          for (const raw of [Buffer.alloc(0), random.text(100), random.noise(70_000), random.text(1_200_000)]) {
            const options = { blockId, blockChecksum, contentChecksum, contentSize, skippable: random.int(3) };
            assert.ok((await collect(frame(raw, options))).equals(raw), JSON.stringify(options));
          }
        }
      }
    }
  }
});

test('a stream that arrives in any pieces decodes the same', async () => {
  const random = new Seeded(3150);
  const raw = Buffer.concat([random.text(200_000), random.noise(90_000)]);
  const bytes = frame(raw, { blockId: 4, blockChecksum: true, contentChecksum: true, skippable: 2 });
  for (const most of [9, 100, 70_000]) {
    async function* pieces(): AsyncGenerator<Buffer> {
      for (let at = 0; at < bytes.length;) {
        const end = at + random.range(1, most);
        yield bytes.subarray(at, end);
        at = end;
      }
    }
    const decoded: Buffer[] = [];
    for await (const piece of lz4DecodeFrame(new ByteSource(pieces()))) decoded.push(piece);
    assert.ok(Buffer.concat(decoded).equals(raw));
  }
});

test('linked blocks and dictionaries are unsupported, not misread', async () => {
  const raw = new Seeded(3200).text(1000);
  for (const options of [{ linked: true }, { dictionary: true }]) {
    const error = await expectKind(collect(frame(raw, options)), 'unsupported');
    assert.equal(error.code, 'LZ4_LINKED');
  }
});

test('every truncation of a frame is an error', async () => {
  const raw = new Seeded(3300).text(3000);
  for (const options of [{}, { blockChecksum: true, contentChecksum: true, contentSize: true, skippable: 2 }]) {
    const bytes = frame(raw, options);
    for (let length = 0; length < bytes.length; length++)
      await expectKind(collect(bytes.subarray(0, length)), 'corrupt');
  }
});

test('flipped bits in a frame with checksums are errors; without checksums, they never crash, hang or exceed the block size', async () => {
  const random = new Seeded(3400);
  const raw = Buffer.concat([random.text(2000), random.noise(500)]);
  const checked = frame(raw, { blockChecksum: true, contentChecksum: true, contentSize: true });
  for (let at = 0; at < checked.length * 8; at += 3) {
    const flipped = Buffer.from(checked);
    flipped[at >> 3]! ^= 1 << (at & 7);
    await expectKind(collect(flipped), 'corrupt', 'unsupported');
  }
  const bare = frame(raw);
  for (let i = 0; i < 1500; i++) {
    const flipped = Buffer.from(bare);
    for (let n = random.range(1, 4); n > 0; n--) flipped[random.range(7, bare.length - 1)]! ^= 1 << random.int(8);
    const decoded = await collect(flipped).catch((error: unknown) => expectKind(Promise.reject(error), 'corrupt'));
    if (Buffer.isBuffer(decoded)) assert.ok(decoded.length <= 4 << 20);
  }
});

test('a block that claims to expand beyond the maximum is refused before memory is allocated', async () => {
  // Token 15/15, then length bytes of 255: claims megabytes.
  const data = Buffer.concat([Buffer.from([0x1f, 0x61, 1, 0]), Buffer.alloc(60_000, 255), Buffer.from([0])]);
  const descriptor = Buffer.from([0x60, 0x40]);
  const bytes = Buffer.concat([
    word(0x184d2204),
    descriptor,
    Buffer.from([(xxh32(descriptor, 0) >>> 8) & 0xff]),
    word(data.length),
    data,
    word(0),
  ]);
  const before = process.memoryUsage.rss();
  for (let i = 0; i < 50; i++) await expectKind(collect(bytes), 'corrupt');
  assert.ok(process.memoryUsage.rss() - before < 200 << 20);
});
