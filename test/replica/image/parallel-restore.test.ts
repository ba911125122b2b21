/** Restores whose requests overtake each other, by threads and without: the same file, or a named error and nothing. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { forEachConcurrent } from '../../../replica/runtime/for-each-concurrent.ts';
import { segmentKey, snapshotKey } from '../../../replica/terms/layout.ts';
import { mapOrdered } from '../../../replica/runtime/map-ordered.ts';
import { restore } from '../../../replica/restore/restore.ts';
import { memoryStore } from '../../../replica/store/memory.ts';
import { s3Store } from '../../../replica/store/s3/store.ts';
import type { Store } from '../../../replica/store/store.ts';
import { expectKind } from '../../history/expect.ts';
import { writeLargeReplica, type LargeReplica } from '../../history/large-replica.ts';
import { Scratch } from '../../history/scratch.ts';
import { rerunnable, Seeded, seeds } from '../../history/seeded.ts';
import { startS3Server } from '../../s3-server/index.ts';

const FILE = 'test/replica/image/parallel-restore.test.ts';
const PAGES = 6000;
const MiB = 1 << 20;

/** 24 blocks, and WAL that changes pages again and again, in several indexes. */
async function replica(store: Store, random: Seeded, segments = 60): Promise<LargeReplica> {
  const some = (): number[] => Array.from({ length: random.range(1, 40) }, () => random.range(1, PAGES));
  return writeLargeReplica(store, { pages: PAGES, segments: Array.from({ length: segments }, some), perIndex: 7 });
}

function expectFile(path: string, large: LargeReplica): void {
  const { state, pageSize } = large;
  const bytes = readFileSync(path);
  assert.equal(bytes.length, state.pages * pageSize);
  for (let n = 1; n <= state.pages; n++) {
    assert.ok(bytes.subarray((n - 1) * pageSize, n * pageSize).equals(large.page(n)), `page ${n}`);
  }
}

test('answers that are late, out of order, cut or refused change nothing in the file', async () => {
  const server = await startS3Server({ buckets: ['b'] });
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const store = s3Store({ bucket: 'b', endpoint: server.endpoint, credentials });
  try {
    for (const seed of seeds(1, 6100)) {
      await rerunnable(seed, FILE, async () => {
        using scratch = new Scratch();
        const large = await replica(store, new Seeded(seed));
        server.faults.seed(seed);
        const match = ({ op }: { readonly op: string }): boolean => op === 'GetObject';
        for (const latency of [20, 60, 150]) server.faults.add({ kind: 'slow', latency, probability: 0.3, match });
        server.faults.add({ kind: 'cut', probability: 0.03, match });
        server.faults.add({ kind: 'status', status: 503, code: 'SlowDown', probability: 0.03, match });
        for (const threads of [0, 3]) {
          const path = scratch.file();
          const told: number[] = [];
          const onProgress = (done: number, total: number | undefined): void => {
            if (total !== undefined) told.push(done / total);
          };
          const { checksum } = await restore(store, path, { threads, memory: 2 * MiB, onProgress });
          assert.equal(checksum, large.state.checksum);
          expectFile(path, large);
          assert.deepEqual(
            told,
            told.toSorted((a, b) => a - b),
            'progress goes forward',
          );
          assert.equal(told.at(-1), 1);
        }
      });
    }
  } finally {
    await store.close();
    await server.close();
  }
});

test('a changed byte in any block or segment is an error that names the object, and nothing is left', async () => {
  const server = await startS3Server({ buckets: ['b'] });
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const remote = s3Store({ bucket: 'b', endpoint: server.endpoint, credentials });
  try {
    for (const seed of seeds(1, 6200)) {
      await rerunnable(seed, FILE, async () => {
        for (const store of [memoryStore(), remote]) await expectDamageNamed(store, new Seeded(seed));
      });
    }
  } finally {
    await remote.close();
    await server.close();
  }
});

async function expectDamageNamed(store: Store, random: Seeded): Promise<void> {
  using scratch = new Scratch();
  const { generation } = await replica(store, random, 6);
  const snapshot = snapshotKey(generation, 0, 'lz4');
  const segment = segmentKey(generation, 0, 0, 'lz4');
  for (const [key, threads] of [
    [snapshot, 0],
    [snapshot, 2],
    [segment, 2],
  ] as const) {
    // prettier-ignore
    const { body } = await store.get(key);
    // Header and trailer have tests of their own.
    const end = key === snapshot ? body.length - PAGES * 8 - 24 * 8 - 120 : body.length;
    for (let i = 0; i < 8; i++) {
      const flipped = Buffer.from(body);
      flipped[random.range(150, end)]! ^= 1 << random.int(8);
      await store.put(key, flipped);
      const error = await expectKind(restore(store, join(scratch.path, 'x.db'), { threads }), 'corrupt');
      assert.equal(error.facts.key, key);
      assert.deepEqual(readdirSync(scratch.path), []);
    }
    await store.put(key, body);
  }
}

test('many small segments are fetched side by side, also across indexes, and not without bound', async () => {
  using scratch = new Scratch();
  const store = memoryStore();
  const large = await replica(store, new Seeded(6300), 300);
  let now = 0;
  let most = 0;
  const slow: Store = {
    ...store,
    async get(key, range) {
      most = Math.max(most, ++now);
      await sleep(5);
      now--;
      return store.get(key, range);
    },
  };
  const path = scratch.file();
  await restore(slow, path, { threads: 0 });
  expectFile(path, large);
  rmSync(path);
  assert.ok(most >= 12 && most <= 16, `${most} requests at a time`);
});

test('what is fetched ahead stays within its bytes, and a larger piece comes alone', async () => {
  const sizes = [3, 3, 3, 20, 1, 1, 9, 2];
  let held = 0;
  let most = 0;
  const room = { weigh: (size: number) => size, most: 10 };
  const work = async (size: number): Promise<number> => {
    held += size;
    most = Math.max(most, size > 10 ? 0 : held);
    assert.ok(held <= 10 || held === size, `${held} at once`);
    await sleep(2);
    held -= size;
    return size;
  };
  const seen: number[] = [];
  for await (const size of mapOrdered(sizes, 16, work, room)) seen.push(size);
  assert.deepEqual(seen, sizes);
  assert.ok(most >= 9);
});

test('lanes: after a failure no more is begun, and what was begun has ended when it is told', async () => {
  let begun = 0;
  let running = 0;
  const work = async (item: number): Promise<void> => {
    begun++;
    running++;
    await sleep(item % 3);
    running--;
    if (item === 10) throw new Error('the tenth');
  };
  await assert.rejects(forEachConcurrent(Array.from({ length: 1000 }, (_, i) => i), 4, work), /the tenth/); // prettier-ignore
  assert.equal(running, 0);
  assert.ok(begun < 30, `${begun} begun`);
});
