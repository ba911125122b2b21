/** XXH32 and XXH64 against an independent implementation. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import xxhash from 'xxhash-wasm';
import { hashPage, Xxh32, xxh32 } from '../../../replica/format/xxhash.ts';
import { rerunnable, Seeded, seeds } from '../../history/seeded.ts';

const FILE = 'test/replica/format/xxhash.test.ts';
const reference = await xxhash();

/** Every length around a stripe of 16 bytes, and around the 64 KiB that are hashed at once. */
const EDGES = [...Array(70).keys(), ...[-17, -16, -1, 0, 1, 15, 16, 17].map((away) => 65_536 + away)];

function randomSeed(random: Seeded): number {
  return random.pick([0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, random.int(2 ** 32)]);
}

test('XXH32 of any length and seed is that of the reference', async () => {
  for (const seed of seeds(2, 3900)) {
    await rerunnable(seed, FILE, () => {
      const random = new Seeded(seed);
      const lengths = [...EDGES, ...Array.from({ length: 200 }, () => random.range(0, 70_000))];
      for (const length of lengths) {
        const bytes = random.noise(length);
        const start = randomSeed(random);
        assert.equal(xxh32(bytes, start), reference.h32Raw(bytes, start), `${length} bytes, seed ${start}`);
      }
    });
  }
});

test('XXH32 of bytes that come in pieces is that of the whole, after every piece', async () => {
  for (const seed of seeds(2, 4000)) {
    await rerunnable(seed, FILE, () => {
      const random = new Seeded(seed);
      for (let round = 0; round < 60; round++) {
        const bytes = random.noise(random.range(0, 70_000));
        const start = randomSeed(random);
        const longest = random.pick([40, 1000, 70_000]);
        const hash = new Xxh32(start);
        for (let at = 0, checks = 0; at < bytes.length;) {
          const end = Math.min(at + random.range(0, longest), bytes.length);
          assert.equal(hash.update(bytes.subarray(at, end)), hash);
          at = end;
          if (++checks > 50) continue;
          const expected = reference.h32Raw(bytes.subarray(0, at), start);
          assert.equal(hash.digest(), expected, `${at} of ${bytes.length} bytes, seed ${start}`);
        }
        assert.equal(hash.digest(), reference.h32Raw(bytes, start), `${bytes.length} bytes, seed ${start}`);
      }
    });
  }
});

test('the hash of a page is XXH64 of its bytes, seeded with its number', () => {
  const random = new Seeded(4100);
  for (let pageSize = 512; pageSize <= 65_536; pageSize *= 2) {
    for (const page of [1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, random.range(3, 2 ** 32 - 3)]) {
      const content = random.noise(pageSize);
      assert.equal(hashPage(page, content), reference.h64Raw(content, BigInt(page)), `page ${page}, ${pageSize} bytes`);
    }
  }
});

test('a length that no page has is refused', () => {
  for (const length of [0, 1, 32, 256, 511, 513, 544, 1023, 1536, 3072, 4095, 4128, 65_504, 65_537, 131_072]) {
    assert.throws(() => hashPage(1, Buffer.alloc(length)), RangeError, `${length} bytes`);
  }
});
