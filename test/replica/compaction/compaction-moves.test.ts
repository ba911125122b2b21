/** Compaction moves what changed and has the store copy the rest; whatever the store does, the state is the right one. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { compact, type CompactionOutcome, type CompactOptions } from '../../../replica/compaction/compact.ts';
import { SeawallError } from '../../../replica/terms/errors.ts';
import { codec } from '../../../replica/format/codec.ts';
import { isBlockSnapshot, openSnapshot } from '../../../replica/objects/snapshot-reader.ts';
import { writeSnapshot } from '../../../replica/objects/snapshot-writer.ts';
import { memoryStore } from '../../../replica/store/memory.ts';
import { s3Store } from '../../../replica/store/s3/store.ts';
import type { Store, Upload } from '../../../replica/store/store.ts';
import { loadTimeline } from '../../../replica/catalogue/timeline.ts';
import { verify } from '../../../replica/verification/verify.ts';
import { dyingStore, Killed } from '../../functions/dying-store.ts';
import { at, expectKind, expectState, reachable } from '../../history/expect.ts';
import { blocksOf, buildHistory } from '../../history/history.ts';
import { writeDirtyReplica } from '../../history/dirty-replica.ts';
import { Scratch } from '../../history/scratch.ts';
import { rerunnable, Seeded, seeds } from '../../history/seeded.ts';
import { startS3Server } from '../../s3-server/index.ts';

const FILE = 'test/replica/compaction/compaction-moves.test.ts';
const NOW = Date.UTC(2026, 5, 1);
const MIB = 1 << 20;

const server = await startS3Server({ buckets: ['b'], data: 'memory' });
after(() => server.close());

function s3(prefix: string): Store {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  return s3Store({ bucket: 'b', prefix, endpoint: server.endpoint, credentials });
}

type Compacted = CompactionOutcome & { readonly kind: 'compacted' };

async function compacted(store: Store, options: Partial<CompactOptions> = {}): Promise<Compacted> {
  const outcome = await compact(store, { policy: 'always', now: NOW, ...options });
  assert.equal(outcome.kind, 'compacted');
  return outcome;
}

/** The same store, with uploads of which some methods are others. */
function withUploads(store: Store, change: (upload: Upload) => Partial<Upload>): Store {
  return {
    ...store,
    upload: async (key) => {
      const upload = await store.upload(key);
      return { ...upload, ...change(upload) };
    },
  };
}

async function keysOf(store: Store): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list('')) keys.push(key);
  return keys;
}

async function unfinished(store: Store): Promise<number> {
  let count = 0;
  for await (const upload of store.unfinished('')) {
    count++;
    await upload.abort();
  }
  return count;
}

/** 12 blocks, of which the WAL changes the one in the middle and the first. */
async function twelveBlocks(store: Store): Promise<bigint> {
  const { checksum } = await writeDirtyReplica(store, { size: 12 * MIB, dirty: [1, 6 * 256 + 3] });
  return checksum;
}

test('databases of many blocks that grow, shrink and are vacuumed: all states stay, and blocks are copied', async () => {
  let copied = 0;
  for (const seed of seeds(4, 800)) {
    await rerunnable(seed, FILE, async () => {
      using scratch = new Scratch();
      const least = new Seeded(seed).pick([1, 10_000, 300_000]);
      const store = memoryStore({ limits: { minPart: least, minCopySource: least } });
      const workload = { largest: 1_500_000, most: 12_000_000 };
      const cut = { notRestorable: 0 };
      const whole = memoryStore();
      const history = await buildHistory(whole, { seed, commits: 24, checkpoints: 0.3, pageSize: 4096, workload, cut });
      for await (const { key } of whole.list('')) {
        await store.put(key, (await whole.get(key)).body);
        if (!key.includes('_00000000.wal.')) continue;
        // Less than the WAL holds: the overlay is made in passes.
        const outcome = await compact(store, { policy: 'always', now: NOW, memory: 2 * MIB });
        if (outcome.kind === 'skipped') continue;
        assert.equal(outcome.how, 'patched');
        assert.equal(outcome.checksum, history.states.findLast(({ index }) => index < outcome.index)!.checksum);
        copied += outcome.copied;
      }
      for (const state of history.states) {
        if (reachable(history, state)) await expectState(store, scratch, at(state), state);
      }
      assert.deepEqual((await verify(store)).problems, []);
    });
  }
  assert.ok(copied > 5 * MIB, `${copied} bytes copied`);
});

test('unchanged runs are copied, and what stands in the snapshot is what a rewrite would have put there', async () => {
  const store = memoryStore();
  const checksum = await twelveBlocks(store);
  const outcome = await compacted(store);
  assert.deepEqual([outcome.how, outcome.checksum], ['patched', checksum]);
  assert.ok(outcome.copied > outcome.size / 2, `${outcome.copied} of ${outcome.size}`);
  const { body } = await store.get(outcome.key);
  await store.delete([outcome.key]);
  const rewritten = memoryStore();
  for (const key of await keysOf(store)) await rewritten.put(key, (await store.get(key)).body);
  const all = withUploads(rewritten, () => ({
    copy: () => Promise.reject(new SeawallError('unsupported', 'STORE_NOT_IMPLEMENTED', 'no copies here')),
  }));
  const passed = await compacted(all);
  assert.deepEqual([passed.how, passed.copied], ['passed-on', 0]);
  assert.deepEqual((await rewritten.get(passed.key)).body, body);
  assert.equal(await unfinished(rewritten), 0);
});

test('another codec rewrites the snapshot; zstd blocks are copied as those of LZ4 are', async () => {
  const store = memoryStore();
  const checksum = await twelveBlocks(store);
  const outcome = await compacted(store, { codec: 'zstd' });
  assert.deepEqual([outcome.how, outcome.copied, outcome.checksum], ['rewritten', 0, checksum]);
  const zstd = memoryStore();
  const dirty = [1, 6 * 256 + 3];
  const state = await writeDirtyReplica(zstd, { size: 12 * MIB, dirty, codec: 'zstd' });
  const patched = await compacted(zstd);
  assert.deepEqual([patched.how, patched.checksum], ['patched', state.checksum]);
  assert.ok(patched.copied > patched.size / 2);
  for (const each of [store, zstd]) assert.deepEqual((await verify(each)).problems, []);
});

test('killed after any number of operations: nothing is visible, what is left can be aborted, and the next run succeeds', async () => {
  const store = memoryStore();
  const checksum = await twelveBlocks(store);
  const before = await keysOf(store);
  let left = 0;
  let steps = 0;
  for (; ; steps++) {
    try {
      await compact(dyingStore(store, steps), { policy: 'always', now: NOW });
      break;
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
    }
    const keys = await keysOf(store);
    // The last operation that counts is the one that makes it visible.
    if (keys.length > before.length) break;
    assert.deepEqual(keys, before, `after ${steps} operations`);
    left += await unfinished(store);
  }
  assert.ok(steps > 12 && left > 3, `${steps} operations, ${left} uploads left`);
  const { current } = await loadTimeline(store);
  const opened = await openSnapshot(store, current!.id, current!.snapshots.at(-1)!);
  assert.ok(isBlockSnapshot(opened));
  assert.equal((await opened.hashes()).checksum, checksum);
  assert.deepEqual((await verify(store)).problems, []);
});

test('a failure of any operation leaves no upload behind', async () => {
  const store = memoryStore();
  await twelveBlocks(store);
  const before = await keysOf(store);
  const failure = new SeawallError('unreachable', 'STORE_SERVER_ERROR', 'the store failed');
  for (const method of ['put', 'copy', 'complete'] as const) {
    const failing = withUploads(store, () => ({ [method]: () => Promise.reject(failure) }));
    await assert.rejects(compact(failing, { policy: 'always', now: NOW }), failure);
    assert.equal(await unfinished(store), 0, method);
    assert.deepEqual(await keysOf(store), before);
  }
});

test('an upload that lost a race is made anew, a few times', async () => {
  const store = memoryStore();
  const checksum = await twelveBlocks(store);
  const lost = new SeawallError('unreachable', 'STORE_UPLOAD_RESTART', 'start it anew');
  let times = 3;
  const losing = withUploads(store, (upload) => ({
    complete: async (condition) => {
      if (times-- > 0) throw lost;
      return upload.complete(condition);
    },
  }));
  await assert.rejects(compact(losing, { policy: 'always', now: NOW }), lost);
  times = 2;
  assert.equal((await compacted(losing)).checksum, checksum);
  assert.equal(await unfinished(store), 0);
});

test('a snapshot that another run made meanwhile is taken for done if it is of the same state, else it is an error', async () => {
  for (const same of [true, false]) {
    const store = memoryStore();
    await twelveBlocks(store);
    const racing = withUploads(store, (upload) => ({
      complete: async (condition) => {
        if (same) await compact(store, { policy: 'always', now: NOW + 1 });
        else await writeOther(store);
        return upload.complete(condition);
      },
    }));
    const run = compact(racing, { policy: 'always', now: NOW });
    if (same) assert.deepEqual(await run, { kind: 'skipped', why: 'exists' });
    else assert.equal((await expectKind(run, 'corrupt')).code, 'SNAPSHOT_DIFFERS');
    assert.equal(await unfinished(store), 0);
  }
});

test('the memory of what was fetched is given back, of blocks and of WAL', async () => {
  const store = memoryStore();
  await writeDirtyReplica(store, { size: 12 * MIB, dirty: Array.from({ length: 120 }, (_, i) => 1 + i * 25) });
  const bodies: Buffer[] = [];
  const watched: Store = {
    ...store,
    get: async (key, range) => {
      const found = await store.get(key, range);
      if (found.body.length > 100_000) bodies.push(found.body);
      return found;
    },
  };
  await compacted(watched);
  assert.ok(bodies.length >= 3, `${bodies.length} fetched`);
  for (const { length } of bodies) assert.equal(length, 0);
});

/** Snapshot 1 of another state. */
async function writeOther(store: Store): Promise<void> {
  const { current } = await loadTimeline(store);
  const facts = { generation: current!.id, index: 1, pageSize: 4096, pages: 3, time: NOW, reason: 'test' };
  await writeSnapshot(store, { ...facts, checksum: undefined }, codec('lz4'), blocksOf(Buffer.alloc(3 * 4096)));
}

test('damage in a block that is copied stays as detectable as it was; in one that is read, it stops the compaction', async () => {
  const clean = memoryStore();
  await twelveBlocks(clean);
  const { current } = await loadTimeline(clean);
  const ref = current!.snapshots[0]!;
  const old = await openSnapshot(clean, current!.id, ref);
  assert.ok(isBlockSnapshot(old));
  const damaged = async (offset: number): Promise<Store> => {
    const store = memoryStore();
    for (const key of await keysOf(clean)) {
      const { body } = await clean.get(key);
      if (key === old.key) body[offset]! ^= 0x10;
      await store.put(key, body);
    }
    return store;
  };

  const copiedBlock = await damaged(old.offsets[9]! + 1000);
  const outcome = await compacted(copiedBlock);
  const { problems } = await verify(copiedBlock);
  assert.deepEqual(problems.map(({ code, key }) => [code, key]), [
    ['SNAPSHOT_BLOCK_CRC', old.key],
    ['SNAPSHOT_BLOCK_CRC', outcome.key],
  ]); // prettier-ignore

  const changedBlock = await damaged(old.offsets[6]! + 1000);
  const error = await expectKind(compact(changedBlock, { policy: 'always', now: NOW }), 'corrupt');
  assert.deepEqual([error.code, error.facts.key], ['SNAPSHOT_BLOCK_CRC', old.key]);
  const hash = await damaged(old.footer.trailerStart + 8 + 2000 * 8);
  assert.equal(
    (await expectKind(compact(hash, { policy: 'always', now: NOW }), 'corrupt')).code,
    'SNAPSHOT_HASHES_CRC',
  );
  assert.deepEqual(await keysOf(changedBlock), await keysOf(clean));
});

test('a state that is not the recorded one is never made visible', async () => {
  const store = memoryStore();
  await twelveBlocks(store);
  const { current } = await loadTimeline(store);
  const old = await openSnapshot(store, current!.id, current!.snapshots[0]!);
  assert.ok(isBlockSnapshot(old));
  // The old snapshot's pages in a block that is read, under right CRCs but not of the recorded hashes.
  const swapped = memoryStore();
  const pages: Buffer[] = [];
  for await (const block of old.blocks()) pages.push(block!);
  pages[6]![5 * 4096]! ^= 1;
  for (const key of await keysOf(store)) {
    if (key !== old.key) await swapped.put(key, (await store.get(key)).body);
  }
  const facts = { ...old.facts, checksum: undefined, reason: 'test' };
  await writeSnapshot(swapped, facts, codec('lz4'), blocksOf(Buffer.concat(pages)));
  const before = await keysOf(swapped);
  await expectKind(compact(swapped, { policy: 'always', now: NOW }), 'corrupt');
  assert.deepEqual(await keysOf(swapped), before);
});

test('S3: what goes over the wire does not grow with the database, but for eight bytes a page', async () => {
  const moved: number[] = [];
  for (const size of [64, 160]) {
    const store = s3(`size-${size}`);
    // Page 1, and some in a block in the middle.
    const middle = (size / 2) * 256;
    const { checksum } = await writeDirtyReplica(store, { size: size * MIB, dirty: [1, middle + 1, middle + 9] });
    server.resetCounters();
    const outcome = await compacted(store);
    assert.deepEqual([outcome.how, outcome.checksum], ['patched', checksum]);
    const { bytesIn, bytesOut, UploadPartCopy } = server.requests;
    moved.push(bytesIn + bytesOut);
    assert.equal(UploadPartCopy, 2);
    assert.deepEqual((await verify(store)).problems, []);
    await store.close();
  }
  const hashes = (2 * (96 * MIB)) / 512;
  assert.ok(moved[1]! - moved[0]! < hashes + MIB, `${moved.join(' and ')} bytes`);
  // Two parts of 5 MiB and up to a block more, read and written.
  assert.ok(moved[0]! < 2 * 2 * 6 * MIB, `${moved[0]} bytes`);
});

test('S3: a server that does not copy gets the unchanged blocks from us, and nothing is left of the first try', async () => {
  const store = s3('no-copies');
  const { checksum } = await writeDirtyReplica(store, { size: 48 * MIB, dirty: [1] });
  const fault = server.faults.add({
    kind: 'status',
    status: 501,
    code: 'NotImplemented',
    match: ({ op }) => op === 'UploadPartCopy',
  });
  try {
    const outcome = await compacted(store);
    assert.deepEqual([outcome.how, outcome.copied, outcome.checksum], ['passed-on', 0, checksum]);
    assert.ok(fault.hits > 0);
    assert.deepEqual(server.uploads('b'), []);
    assert.deepEqual((await verify(store)).problems, []);
  } finally {
    server.faults.clear();
    await store.close();
  }
});
