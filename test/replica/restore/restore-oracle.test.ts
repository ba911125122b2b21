/** Every state of random histories comes back bit-identical to what SQLite held. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { openImage } from '../../../replica/image/image.ts';
import { planRestore } from '../../../replica/plan/plan.ts';
import { memoryStore } from '../../../replica/store/memory.ts';
import { parseTarget } from '../../../replica/terms/target.ts';
import { loadTimeline } from '../../../replica/catalogue/timeline.ts';
import { at, expectKind, expectState, latestState, reachable, stateAt } from '../../history/expect.ts';
import { buildHistory, PAGE_SIZES, positionOf, type HistoryOptions } from '../../history/history.ts';
import { Scratch } from '../../history/scratch.ts';
import { rerunnable, Seeded, seeds } from '../../history/seeded.ts';

const FILE = 'test/replica/restore/restore-oracle.test.ts';
const MiB = 1 << 20;

/**
 * Restores every state, into a file and in order, with little memory and by threads where that is said. Returns the most
 * bytes of WAL pages that one restore had to lay over its snapshot.
 */
async function everyState(options: HistoryOptions, how: { memory?: number; threads?: number } = {}): Promise<number> {
  using scratch = new Scratch();
  const store = memoryStore();
  const history = await buildHistory(store, options);
  let most = 0;
  for (const state of history.states) {
    if (!reachable(history, state)) continue;
    const { walPages } = await expectState(store, scratch, at(state), state, how);
    most = Math.max(most, walPages * history.pageSize);
    const image = await openImage(store, await planRestore(store, await loadTimeline(store), at(state)), how);
    const hash = createHash('sha256');
    for await (const block of image.blocks()) hash.update(block);
    assert.equal(hash.digest('hex'), state.hash, `in order, at ${positionOf(state)}`);
    assert.equal(image.result().checksum, state.checksum);
  }
  return most;
}

for (const [i, pageSize] of PAGE_SIZES.entries()) {
  test(`every commit is restored as SQLite held it, pages of ${pageSize} bytes`, async () => {
    for (const seed of seeds(1, 100 + i)) {
      await rerunnable(seed, FILE, () =>
        everyState({ seed, pageSize, commits: 40, generations: 2, snapshots: 0.3, distrustOracle: seed % 4 === 0 }),
      );
    }
  });
}

test('large and shrinking databases, by threads and with less memory than the WAL holds, are restored the same', async () => {
  let largest = 0;
  for (const seed of seeds(1, 200)) {
    await rerunnable(seed, FILE, async () => {
      const most = await everyState(
        {
          seed,
          pageSize: new Seeded(seed).pick([1024, 4096, 16384]),
          commits: 12,
          codec: 'lz4',
          checkpoints: 0.2,
          cut: { notRestorable: 0 },
          workload: { largest: 1.5 * MiB, most: 12 * MiB },
        },
        { memory: 2 * MiB, threads: 2 },
      );
      largest = Math.max(largest, most);
    });
  }
  if (process.env['SEED'] === undefined) assert.ok(largest > 5 * MiB, `too small to force several passes: ${largest}`);
});

test('big-endian WAL checksums', async () => {
  for (const seed of seeds(1, 300)) {
    await rerunnable(seed, FILE, () => everyState({ seed, commits: 25, order: 'big' }));
  }
});

test('a restore by time gives the last state captured at or before it', async () => {
  for (const seed of seeds(2, 400)) {
    await rerunnable(seed, FILE, async () => {
      using scratch = new Scratch();
      const store = memoryStore();
      const options = { seed, commits: 30, generations: 2, snapshots: 0.4, pause: seed % 2 === 0 ? 2 : 3000 };
      const history = await buildHistory(store, options);
      const times = new Set(history.states.flatMap(({ time }) => [time - 1, time, time + 1, time + 700]));
      for (const time of times) {
        const state = stateAt(history, time);
        if (state === undefined) {
          const error = await expectKind(
            expectState(store, scratch, { kind: 'time', time }, history.states[0]!),
            'point',
          );
          assert.equal(error.code, 'POINT_BEFORE_FIRST');
          assert.equal(error.facts.after, new Date(history.states[0]!.time).toISOString());
          continue;
        }
        const restored = await expectState(store, scratch, { kind: 'time', time }, state);
        assert.equal(restored.time, state.time);
        // The end of an index and the snapshot of the next one are the same state.
        const boundary = positionOf({ ...state, index: state.index + 1, offset: 0 });
        assert.ok([positionOf(state), boundary].includes(restored.position), restored.position);
      }
    });
  }
});

test('the latest state is the last restorable commit, whatever follows it unfinished', async () => {
  for (const seed of seeds(8, 500)) {
    await rerunnable(seed, FILE, async () => {
      using scratch = new Scratch();
      const store = memoryStore();
      const options = { seed, commits: 12, generations: 1 + (seed % 2), control: seed % 3 === 0 };
      const history = await buildHistory(store, { ...options, unfinished: seed % 4 < 2, cut: { notRestorable: 0 } });
      const restored = await expectState(store, scratch, { kind: 'latest' }, latestState(history));
      assert.equal(restored.position, positionOf(latestState(history)));
      await expectState(store, scratch, parseTarget(restored.position), latestState(history));
    });
  }
});

test('positions between commits, and commits that are none to restore, are refused and name the nearest', async () => {
  for (const seed of seeds(4, 600)) {
    await rerunnable(seed, FILE, async () => {
      using scratch = new Scratch();
      const store = memoryStore();
      const history = await buildHistory(store, { seed, commits: 25, cut: { notRestorable: 0.2 } });
      for (const state of history.states.filter(({ offset }) => offset > 0)) {
        const target = at(state);
        if (!state.restorable) {
          const error = await expectKind(expectState(store, scratch, target, state), 'point');
          assert.equal(error.code, 'POINT_NOT_A_COMMIT');
          assert.match(error.message, /Nearest before: [0-9a-f]{16}\/[0-9a-f]{8}\/[0-9a-f]{8}\./);
        }
        const between = at({ ...state, offset: state.offset - 24 });
        const error = await expectKind(expectState(store, scratch, between, state), 'point');
        assert.equal(error.code, 'POINT_NOT_A_COMMIT');
        assert.ok(error.facts.before !== undefined && parseTarget(error.facts.before).kind === 'position');
      }
    });
  }
});
