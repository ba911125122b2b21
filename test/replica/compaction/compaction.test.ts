/** Compaction changes nothing that can be restored, and its snapshot is the state it stands for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compact, planCompaction } from '../../../replica/compaction/compact.ts';
import { memoryStore } from '../../../replica/store/memory.ts';
import type { Store } from '../../../replica/store/store.ts';
import { isBlockSnapshot, openSnapshot } from '../../../replica/objects/snapshot-reader.ts';
import { loadTimeline } from '../../../replica/catalogue/timeline.ts';
import { at, expectKind, expectState, reachable } from '../../history/expect.ts';
import { buildHistory, hashOf, type History, type State } from '../../history/history.ts';
import { Scratch } from '../../history/scratch.ts';
import { rerunnable, seeds } from '../../history/seeded.ts';

const FILE = 'test/replica/compaction/compaction.test.ts';
const NOW = Date.UTC(2026, 5, 1);

function lastBefore(history: History, index: number): State {
  return history.states.findLast((state) => state.index < index)!;
}

test('after compaction every state is restored as before, and the snapshot is the state at the end of an index', async () => {
  for (const seed of seeds(4, 700)) {
    await rerunnable(seed, FILE, async () => {
      using scratch = new Scratch();
      const store = memoryStore();
      const history = await buildHistory(store, { seed, commits: 20, checkpoints: 0.25, snapshots: 0.1 });
      const codec = seed % 2 === 0 ? 'zstd' : 'lz4';
      const outcome = await compact(store, { policy: 'always', now: NOW, codec });
      if (outcome.kind === 'skipped') {
        assert.ok(['no-complete-index'].includes(outcome.why), outcome.why);
        return;
      }
      const state = lastBefore(history, outcome.index);
      assert.equal(outcome.checksum, state.checksum);
      assert.equal(outcome.pages, state.pages);

      const { current } = await loadTimeline(store);
      const opened = await openSnapshot(store, current!.id, current!.snapshots.at(-1)!);
      assert.ok(isBlockSnapshot(opened));
      assert.equal(opened.facts.time, state.time);
      assert.equal((await opened.hashes()).checksum, state.checksum);
      const blocks: Buffer[] = [];
      for await (const block of opened.blocks()) blocks.push(block!);
      assert.equal(hashOf(Buffer.concat(blocks)), state.hash);

      for (const each of history.states) {
        if (reachable(history, each)) await expectState(store, scratch, at(each), each);
      }
      assert.deepEqual((await compact(store, { policy: 'always', now: NOW })).kind, 'skipped');
    });
  }
});

test('compaction in the middle of a growing history, again and again', async () => {
  for (const seed of seeds(2, 720)) {
    await rerunnable(seed, FILE, async () => {
      using scratch = new Scratch();
      const whole = memoryStore();
      const history = await buildHistory(whole, { seed, commits: 30, checkpoints: 0.3, cut: { notRestorable: 0 } });
      const store = memoryStore();
      let compacted = 0;
      for await (const { key } of whole.list('')) {
        await store.put(key, (await whole.get(key)).body);
        if (!key.endsWith('_00000000.wal.lz4') && !key.endsWith('_00000000.wal.zst')) continue;
        const outcome = await compact(store, { policy: 'always', now: NOW });
        if (outcome.kind === 'skipped') continue;
        compacted++;
        assert.equal(outcome.checksum, lastBefore(history, outcome.index).checksum);
      }
      const indexes = new Set(history.states.filter(({ offset }) => offset > 0).map(({ index }) => index));
      assert.equal(compacted, indexes.size - 1);
      for (const state of history.states) await expectState(store, scratch, at(state), state);
    });
  }
});

test('two compactions at once: one writes, the other finds it done', async () => {
  const store = memoryStore();
  await buildHistory(store, { seed: 731, commits: 20, checkpoints: 0.3, cut: { notRestorable: 0 } });
  const outcomes = await Promise.all([1, 2, 3].map(() => compact(store, { policy: 'always', now: NOW })));
  const written = outcomes.filter(({ kind }) => kind === 'compacted');
  assert.ok(written.length >= 1);
  const { current } = await loadTimeline(store);
  assert.equal(current!.snapshots.length, 2);
});

test('an index whose end is no restore point is not compacted to; the newest one before it is', async () => {
  for (const seed of seeds(4, 740)) {
    await rerunnable(seed, FILE, async () => {
      const store = memoryStore();
      const history = await buildHistory(store, { seed, commits: 20, checkpoints: 0.3, cut: { notRestorable: 0.5 } });
      const outcome = await compact(store, { policy: 'always', now: NOW });
      const ends = history.states.filter((state, i) => (history.states[i + 1]?.index ?? 0) > state.index);
      const possible = ends.filter(({ restorable, offset }) => restorable && offset > 0);
      if (outcome.kind === 'compacted') assert.equal(outcome.index, possible.at(-1)!.index + 1);
      else assert.deepEqual([outcome.why, possible], ['no-complete-index', []]);
    });
  }
});

test('the policy: by share of the snapshot, by age, or not', async () => {
  const store = memoryStore();
  const history = await buildHistory(store, { seed: 750, commits: 20, checkpoints: 0.3, cut: { notRestorable: 0 } });
  const timeline = await loadTimeline(store);
  const start = history.states[0]!.time;
  const day = 86_400_000;
  const planned = (ratio: number, age: number): Promise<string> =>
    planCompaction(store, timeline, { ratio, maxAge: day }, start + age).then(({ why }) => why);
  assert.equal(await planned(0, 0), 'ratio');
  assert.equal(await planned(1e9, 0), 'below-policy');
  assert.equal(await planned(1e9, day - 1), 'below-policy');
  assert.equal(await planned(1e9, day), 'age');
});

test('a damaged segment stops compaction, and nothing is written', async () => {
  const store = memoryStore();
  const history = await buildHistory(store, { seed: 760, commits: 20, checkpoints: 0.3, cut: { notRestorable: 0 } });
  const { key } = await damageFirst(store, 'wal/');
  const before = await keysOf(store);
  const error = await expectKind(compact(store, { policy: 'always', now: NOW }), 'corrupt');
  assert.equal(error.facts.key, key);
  assert.deepEqual(await keysOf(store), before);
  assert.ok(history.states.length > 0);
});

test('an index that lost its last segments is never compacted to', async () => {
  for (const seed of seeds(4, 770)) {
    await rerunnable(seed, FILE, async () => {
      const store = memoryStore();
      const cut = { notRestorable: 0, joined: 0, midTransaction: 0 };
      await buildHistory(store, { seed, commits: 20, checkpoints: 0.2, codec: 'lz4', cut });
      const segments = (await keysOf(store)).filter((key) => key.includes('/wal/'));
      const ends = segments.filter((key, i) => segments[i + 1]?.endsWith('_00000000.wal.lz4') && !key.endsWith('_00000000.wal.lz4')); // prettier-ignore
      for (const key of ends) {
        const { body } = await store.get(key);
        await store.delete([key]);
        const error = await expectKind(compact(store, { policy: 'always', now: NOW }), 'corrupt');
        assert.equal(error.code, 'WAL_GAP');
        await store.put(key, body);
      }
    });
  }
});

async function damageFirst(store: Store, part: string): Promise<{ key: string }> {
  for await (const { key } of store.list('')) {
    if (!key.includes(part)) continue;
    const { body } = await store.get(key);
    body[body.length - 20]! ^= 1;
    await store.put(key, body);
    return { key };
  }
  throw new Error(`no ${part}`);
}

async function keysOf(store: Store): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list('')) keys.push(key);
  return keys;
}
