/** WAL checksums in both byte orders: what we rewrite, SQLite accepts; what SQLite writes, we follow. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { WalCursor } from '../../../replica/wal/cursor.ts';
import { walSum } from '../../../replica/wal/checksum.ts';
import { frameSize, parseWalHeader, WAL_HEADER_SIZE } from '../../../replica/wal/format.ts';
import { LiveDatabase, openAndRead } from '../../history/live-database.ts';
import { rechain } from '../../history/rechain.ts';
import { PAGE_SIZES } from '../../history/history.ts';
import { Scratch } from '../../history/scratch.ts';
import { rerunnable, Seeded, seeds } from '../../history/seeded.ts';
import { firstStep, randomStep } from '../../history/workload.ts';

const FILE = 'test/replica/wal/wal.test.ts';

/** A database file, the WAL over it, and what both together are. */
function realWal(seed: number, pageSize: number): { file: Buffer; wal: Buffer; image: Buffer } {
  const random = new Seeded(seed);
  const workload = { largest: 5000, most: 300_000 };
  const live = new LiveDatabase({ pageSize, autoVacuum: random.pick(['none', 'full', 'incremental']) });
  try {
    const file = live.file();
    const pieces: Buffer[] = [];
    const step = (body: typeof firstStep): void => {
      const commit = live.commitOf((db) => {
        body(db, random, workload);
      });
      if (commit !== undefined) pieces.push(commit.raw);
    };
    step(firstStep);
    for (let i = 0; i < 10; i++) step(randomStep);
    return { file, wal: Buffer.concat(pieces), image: live.image() };
  } finally {
    live.close();
  }
}

test('SQLite reads a rewritten WAL of either order to the same database', async () => {
  for (const [i, pageSize] of PAGE_SIZES.entries()) {
    for (const seed of seeds(1, 4000 + i)) {
      await rerunnable(seed, FILE, () => {
        using scratch = new Scratch();
        const { file, wal, image } = realWal(seed, pageSize);
        for (const order of ['big', 'little'] as const) {
          const rewritten = rechain(wal, order, { salts: { salt1: seed, salt2: 77 }, unfinished: seed % 2 === 0 });
          assert.equal(parseWalHeader(rewritten).order, order);
          const path = scratch.file();
          writeFileSync(path, file);
          writeFileSync(`${path}-wal`, rewritten);
          assert.ok(openAndRead(path).equals(image), `${order}, pages of ${pageSize} bytes`);
        }
        assert.ok(rechain(wal, 'little').equals(wal), 'rewriting in the same order changed bytes');
      });
    }
  }
});

test('the cursor takes a WAL in any pieces, and stops at the first frame that breaks the chain', async () => {
  for (const seed of seeds(6, 4050)) {
    await rerunnable(seed, FILE, () => {
      const random = new Seeded(seed);
      const { wal } = realWal(seed, random.pick([512, 4096]));
      const whole = new WalCursor('0'.repeat(16), 0);
      const frames = whole.feed(wal);
      const size = frameSize(parseWalHeader(wal).pageSize);
      assert.equal(frames.length, (wal.length - WAL_HEADER_SIZE) / size);
      assert.ok(whole.atCommit);
      const cursor = new WalCursor('0'.repeat(16), 0);
      const seen: number[] = [];
      for (let at = 0; at < wal.length;) {
        const end = at + random.range(1, size * 2);
        seen.push(...cursor.feed(wal.subarray(at, end)).map(({ end: offset }) => offset));
        at = end;
      }
      assert.deepEqual(seen, frames.map(({ end }) => end)); // prettier-ignore
      for (let i = 0; i < 60; i++) {
        const damaged = Buffer.from(wal);
        const at = random.int(wal.length);
        damaged[at]! ^= 1 << random.int(8);
        const broken = new WalCursor('0'.repeat(16), 0);
        assert.throws(() => broken.feed(damaged), { kind: 'corrupt' }, `byte ${at}`);
      }
    });
  }
});

test('checksums do not depend on how memory is aligned', () => {
  const random = new Seeded(4080);
  for (let i = 0; i < 50; i++) {
    const bytes = random.noise(8 * random.range(1, 100));
    const shifted = Buffer.concat([Buffer.alloc(1 + (i % 7)), bytes]).subarray(1 + (i % 7));
    for (const order of ['big', 'little'] as const) {
      const start = { s1: random.int(2 ** 32), s2: random.int(2 ** 32) };
      assert.deepEqual(walSum(order, bytes, start), walSum(order, shifted, start));
    }
  }
});
