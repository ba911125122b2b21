/** The database checksum: its values are fixed, and it changes with every page and every page's place. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatChecksum, PageHashes } from '../../../replica/format/page-hashes.ts';
import { hashPage } from '../../../replica/format/xxhash.ts';
import { lockPage } from '../../../replica/wal/format.ts';
import { rerunnable, Seeded, seeds } from '../../history/seeded.ts';

const FILE = 'test/replica/format/page-hashes.test.ts';

function fromScratch(pageSize: number, pages: readonly Buffer[]): PageHashes {
  const hashes = new PageHashes(pageSize);
  pages.forEach((content, i) => {
    hashes.set(i + 1, content);
  });
  hashes.commit(pages.length);
  return hashes;
}

function counted(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, i) => i & 0xff));
}

test('test vectors', () => {
  // XXH64 of the page's bytes, seeded with its number: docs/FORMAT.md.
  const vectors = [
    [1, Buffer.alloc(512), 'e94b12c6ab2d7501'],
    [2, Buffer.alloc(512), 'fdd0bf14ba2aa97a'],
    [1, counted(512), '9430a93ace18b966'],
    [2, counted(512), '9927e995963565fa'],
    [4_294_967_294, counted(512), '09a918d2b46c3ee9'],
    [3, counted(65536), 'fa8758544fecfd62'],
  ] as const;
  for (const [page, content, expected] of vectors) assert.equal(formatChecksum(hashPage(page, content)), expected);
  const database = fromScratch(512, [Buffer.alloc(512), counted(512), Buffer.alloc(512, 0xff)]);
  assert.equal(formatChecksum(database.checksum), 'c98ce77f47395082');
});

test('swapped pages, a moved page, a flipped bit: each gives another checksum', () => {
  const random = new Seeded(3500);
  const pages = Array.from({ length: 20 }, () => random.noise(512));
  const { checksum } = fromScratch(512, pages);
  for (let i = 0; i < 200; i++) {
    const [a, b] = [random.int(20), random.int(20)];
    if (a === b) continue;
    const swapped = [...pages];
    [swapped[a], swapped[b]] = [pages[b]!, pages[a]!];
    assert.notEqual(fromScratch(512, swapped).checksum, checksum);
    const flipped = [...pages];
    flipped[a] = Buffer.from(pages[a]!);
    flipped[a][random.int(512)]! ^= 1 << random.int(8);
    assert.notEqual(fromScratch(512, flipped).checksum, checksum);
  }
  assert.notEqual(fromScratch(512, pages.slice(0, -1)).checksum, checksum);
  assert.notEqual(fromScratch(512, [...pages, Buffer.alloc(512)]).checksum, checksum);
  assert.notEqual(fromScratch(512, [pages[0]!, ...pages]).checksum, checksum);
});

test('updates, growth and shrinkage give the same checksum as hashing every page again', async () => {
  for (const seed of seeds(30, 3600)) {
    await rerunnable(seed, FILE, async () => {
      const random = new Seeded(seed);
      const hashes = new PageHashes(512);
      let pages: Buffer[] = [];
      for (let commit = 0; commit < 30; commit++) {
        const size = random.range(1, 60);
        const next = [...pages];
        for (let i = random.range(0, 10); i > 0; i--) {
          // Frames past the end of the commit happen: pages written and freed in the same transaction.
          const page = random.range(1, size + 5);
          const content = random.chance(0.1) ? Buffer.alloc(512) : random.noise(512);
          hashes.set(page, content);
          next[page - 1] = content;
        }
        hashes.commit(size);
        pages = Array.from({ length: size }, (_, i) => next[i] ?? Buffer.alloc(512));
        const anew = fromScratch(512, pages);
        assert.equal(hashes.checksum, anew.checksum);
        assert.equal(hashes.pages, size);
        assert.ok(hashes.toBytes().equals(anew.toBytes()));
        assert.equal(hashes.clone().checksum, anew.checksum);
        const stored = Buffer.from(hashes.toBytes());
        const read = await PageHashes.read(512, size, (into) => Promise.resolve(void stored.copy(into)));
        assert.equal(read.checksum, anew.checksum);
        assert.ok(read.toBytes().equals(stored));
      }
    });
  }
});

test('a page counts as zeros if the database shrank, grew again and did not write it', () => {
  const hashes = fromScratch(512, [counted(512), counted(512), counted(512)]);
  hashes.commit(1);
  hashes.commit(3);
  assert.equal(hashes.checksum, fromScratch(512, [counted(512), Buffer.alloc(512), Buffer.alloc(512)]).checksum);
});

test('the page with the lock bytes counts for nothing', () => {
  const pageSize = 65536;
  const page = lockPage(pageSize);
  assert.equal(page, 16385);
  for (const size of [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]) {
    assert.equal((lockPage(size) - 1) * size, 2 ** 30);
  }
  const hashes = new PageHashes(pageSize);
  const content = Buffer.alloc(pageSize, 5);
  hashes.set(1, content);
  hashes.commit(page + 1);
  const { checksum } = hashes;
  hashes.set(page, content);
  hashes.commit(page + 1);
  assert.equal(hashes.checksum, checksum);
  assert.equal(hashes.get(page), 0n);
  hashes.set(page + 1, content);
  assert.notEqual(hashes.checksum, checksum);
});
