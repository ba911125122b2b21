/** Single pages of past states, read without a restore. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeawallError } from '../../../replica/terms/errors.ts';
import { parseKey, segmentKey, snapshotKey } from '../../../replica/terms/layout.ts';
import { openPages } from '../../../replica/image/by-page/page-reader.ts';
import { openAt } from '../../../replica/restore/choose.ts';
import { planRestore } from '../../../replica/plan/plan.ts';
import { memoryStore } from '../../../replica/store/memory.ts';
import { s3Store } from '../../../replica/store/s3/store.ts';
import type { Store } from '../../../replica/store/store.ts';
import { LATEST } from '../../../replica/terms/target.ts';
import { loadTimeline } from '../../../replica/catalogue/timeline.ts';
import { at, expectKind, reachable } from '../../history/expect.ts';
import { foreignReplica } from '../../history/foreign.ts';
import { buildHistory, hashOf, type State } from '../../history/history.ts';
import { writeLargeReplica } from '../../history/large-replica.ts';
import { rerunnable, Seeded, seeds } from '../../history/seeded.ts';
import { startS3Server } from '../../s3-server/index.ts';

const FILE = 'test/replica/image/page-reader.test.ts';
const MiB = 1 << 20;

async function expectPages(store: Store, state: State, random: Seeded, memory?: number): Promise<void> {
  const open = await openAt(store, at(state), memory === undefined ? {} : { memory });
  assert.equal(open.pages, state.pages);
  // In any order, one by one, side by side, in runs: the same bytes.
  const whole = Buffer.alloc(open.pages * open.pageSize);
  const place = (page: number, bytes: Buffer): number => bytes.copy(whole, (page - 1) * open.pageSize);
  const numbers = Array.from({ length: open.pages }, (_, i) => i + 1).sort(() => random.next() - 0.5);
  for (const page of numbers.slice(0, 200)) place(page, await open.readPage(page));
  await Promise.all(numbers.slice(200, 400).map(async (page) => place(page, await open.readPage(page))));
  for (let first = 1; first <= open.pages;) {
    const count = random.range(1, Math.min(700, open.pages - first + 1));
    place(first, await open.readPages(first, count));
    first += count;
  }
  assert.equal(hashOf(whole), state.hash);
  await assert.rejects(open.readPage(open.pages + 1), RangeError);
  await assert.rejects(open.readPage(0), RangeError);
  await open.close();
  await assert.rejects(open.readPage(1), TypeError);
}

test('every page of every past state is what SQLite held', async () => {
  for (const seed of seeds(3, 5100)) {
    await rerunnable(seed, FILE, async () => {
      const store = memoryStore();
      const history = await buildHistory(store, { seed, commits: 25, generations: 2, snapshots: 0.3 });
      const random = new Seeded(seed);
      for (const state of history.states) if (reachable(history, state)) await expectPages(store, state, random);
    });
  }
});

test('also where neither the WAL nor the database fits the memory', async () => {
  for (const seed of seeds(1, 5200)) {
    await rerunnable(seed, FILE, async () => {
      const store = memoryStore();
      const history = await buildHistory(store, {
        seed,
        pageSize: 4096,
        commits: 16,
        checkpoints: 0.1,
        cut: { notRestorable: 0 },
        workload: { largest: 1.5 * MiB, most: 24 * MiB },
      });
      await expectPages(store, history.states.at(-1)!, new Seeded(seed), 1);
    });
  }
});

test('replicas of another program’s, whose snapshots have no block table', async () => {
  for (const seed of seeds(2, 5300)) {
    await rerunnable(seed, FILE, async () => {
      const { store, history } = await foreignReplica(seed);
      const random = new Seeded(seed);
      for (const state of [history.states[0]!, random.pick(history.states), history.states.at(-1)!]) {
        await expectPages(store, state, random, 1);
      }
    });
  }
});

test('one page of a database of 1 GiB takes 4 requests and a fraction of 3 MiB; a held one takes none', async () => {
  const server = await startS3Server({ buckets: ['b'] });
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const store = s3Store({ bucket: 'b', endpoint: server.endpoint, credentials });
  try {
    const pages = 2 ** 18;
    const changed = [7, 1000, 200_000];
    const large = await writeLargeReplica(store, { pages, segments: [changed], noise: 0.01 });
    const plan = await planRestore(store, await loadTimeline(store), LATEST);
    server.resetCounters();
    const open = await openPages(store, plan);
    const first = 123_456;
    assert.ok((await open.readPage(first)).equals(large.page(first)));
    const { GetObject, HeadObject, ListObjectsV2, bytesOut } = server.requests;
    assert.deepEqual({ GetObject, HeadObject, ListObjectsV2 }, { GetObject: 4, HeadObject: 0, ListObjectsV2: 0 });
    assert.ok(bytesOut < 3 * MiB, `${bytesOut} bytes`);
    server.resetCounters();
    for (const page of [...changed, first + 1]) assert.ok((await open.readPage(page)).equals(large.page(page)));
    assert.equal(server.requests.GetObject, 0, 'pages of the WAL, and of a block that was read, are held');
    assert.ok((await open.readPage(pages)).equals(large.page(pages)));
    assert.equal(server.requests.GetObject, 2);
    assert.ok((await open.readPages(pages - 600, 601)).equals(Buffer.concat(Array.from({ length: 601 }, (_, i) => large.page(pages - 600 + i))))); // prettier-ignore
    await open.close();
  } finally {
    await store.close();
    await server.close();
  }
});

test('a changed byte in a block, its hashes or a segment is an error that names the object, or does not matter', async () => {
  for (const seed of seeds(2, 5400)) {
    await rerunnable(seed, FILE, async () => {
      const store = memoryStore();
      const random = new Seeded(seed);
      const history = await buildHistory(store, { seed, commits: 8, pageSize: 1024, checkpoints: 0.2 });
      const state = history.states.findLast((each) => reachable(history, each))!;
      const plan = await planRestore(store, await loadTimeline(store), at(state));
      const keys: string[] = [];
      for await (const { key } of store.list('generations/')) if (parseKey(key) !== undefined) keys.push(key);
      let named = 0;
      for (let i = 0; i < 60; i++) {
        const key = random.pick(keys);
        const { body } = await store.get(key);
        const flipped = Buffer.from(body);
        flipped[random.int(flipped.length)]! ^= 1 << random.int(8);
        await store.put(key, flipped);
        try {
          const open = await openPages(store, plan);
          assert.equal(hashOf(await open.readPages(1, open.pages)), state.hash);
        } catch (error) {
          if (!(error instanceof SeawallError)) throw error;
          assert.equal(error.kind, 'corrupt');
          assert.equal(error.facts.key, key);
          named++;
        }
        await store.put(key, body);
      }
      assert.ok(named > 20, `only ${named} of 60`);
    });
  }
});

test('a block that is not the one its place promises, and a segment that changed since, are found by the page hashes', async () => {
  const store = memoryStore();
  const all = Array.from({ length: 3000 }, (_, i) => i + 1);
  const { generation } = await writeLargeReplica(store, { pages: 4000, segments: [all, [1], [2]] });
  const open = await openAt(store, LATEST, { memory: 1 });
  const segment = segmentKey(generation, 0, 0, 'lz4');
  const { body } = await store.get(segment);
  // Nothing of the first segment's beginning is held any more: it does not fit.
  await store.put(segment, Buffer.concat([body.subarray(0, -1), Buffer.from([body.at(-1)! ^ 1])]));
  const lost = await expectKind(open.readPage(3), 'corrupt');
  assert.equal(lost.facts.key, segment);
  await store.delete([segment]);
  await expectKind(open.readPage(3), 'missing');
  await store.put(segment, body);
  assert.equal((await open.readPage(3)).readUInt32LE(100), 3);

  const snapshot = snapshotKey(generation, 0, 'lz4');
  const bytes = Buffer.from((await store.get(snapshot)).body);
  // Hashes of single blocks have no CRC of their own: a damaged one accuses its page.
  const trailer = Number(bytes.readBigUInt64LE(bytes.length - 96 + 72));
  bytes[trailer + 8 + 3500 * 8]! ^= 1;
  await store.put(snapshot, bytes);
  const error = await expectKind((await openAt(store, LATEST)).readPage(3500), 'corrupt');
  assert.deepEqual([error.code, error.facts.key], ['SNAPSHOT_PAGE_HASH', snapshot]);
});
