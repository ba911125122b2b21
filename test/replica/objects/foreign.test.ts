/** Buckets that a Litestream 0.3 wrote: no headers of ours, times by the store's clock, proof by the WAL's checksums. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compact } from '../../../replica/compaction/compact.ts';
import { parseKey, snapshotKey } from '../../../replica/terms/layout.ts';
import { restore } from '../../../replica/restore/restore.ts';
import { retain } from '../../../replica/retention/retain.ts';
import { loadTimeline } from '../../../replica/catalogue/timeline.ts';
import { verify } from '../../../replica/verification/verify.ts';
import type { ClockedStore } from '../../history/clocked-store.ts';
import { at, expectKind } from '../../history/expect.ts';
import { decoded, foreignReplica } from '../../history/foreign.ts';
import { hashOf, type State } from '../../history/history.ts';
import { frame } from '../../history/lz4-frame.ts';
import { Scratch } from '../../history/scratch.ts';
import { rerunnable, seeds } from '../../history/seeded.ts';

const FILE = 'test/replica/objects/foreign.test.ts';
const HOUR = 3_600_000;

async function expectForeign(
  store: ClockedStore,
  scratch: Scratch,
  target: Parameters<typeof at>[0] | undefined,
  state: State,
): Promise<void> {
  const path = scratch.file();
  const restored = await restore(store, path, target === undefined ? {} : { target: at(target) });
  assert.equal(hashOf(readFileSync(path)), state.hash);
  assert.equal(restored.checksum, state.checksum);
}

test('every commit is restored, the latest state too, and compaction keeps it so', async () => {
  for (const seed of seeds(3, 3900)) {
    await rerunnable(seed, FILE, async () => {
      using scratch = new Scratch();
      const { store, history } = await foreignReplica(seed);
      for (const state of history.states) await expectForeign(store, scratch, state, state);
      await expectForeign(store, scratch, undefined, history.states.at(-1)!);
      const outcome = await compact(store, { policy: 'always', now: store.now });
      if (outcome.kind === 'compacted') {
        assert.equal(outcome.checksum, history.states.findLast(({ index }) => index < outcome.index)!.checksum);
      }
      for (const state of history.states) await expectForeign(store, scratch, state, state);
      const between = history.states.at(-1)!;
      const error = await expectKind(
        expectForeign(store, scratch, { ...between, offset: between.offset - 1 }, between),
        'point',
      );
      assert.equal(error.code, 'POINT_NOT_A_COMMIT');
    });
  }
});

test('times are the store’s', async () => {
  const { store, history } = await foreignReplica(3950);
  using scratch = new Scratch();
  const ends = new Map<number, State>();
  for (const state of history.states) ends.set(state.time, state);
  let exact = 0;
  for await (const { key, lastModified } of store.list('generations/')) {
    const state = ends.get(lastModified);
    if (parseKey(key)?.kind !== 'segment' || state === undefined) continue;
    const path = scratch.file();
    const restored = await restore(store, path, { target: { kind: 'time', time: lastModified } });
    assert.equal(hashOf(readFileSync(path)), state.hash);
    assert.equal(restored.time, lastModified);
    exact++;
  }
  assert.ok(exact > 3);
});

test('verification decodes everything and says what is proven by frames alone; damage is named', async () => {
  for (const seed of seeds(3, 3960)) {
    await rerunnable(seed, FILE, async () => {
      const { store, history } = await foreignReplica(seed);
      const report = await verify(store);
      assert.deepEqual(report.problems, []);
      assert.deepEqual(report.proof, { recorded: 0, frames: report.objects });
      assert.equal(report.commits, history.states.length - 1);
      for (const key of await store.keys()) {
        const { body } = await store.get(key);
        const damaged = Buffer.from(body);
        damaged[body.length >> 1]! ^= 1;
        await store.put(key, damaged);
        const { problems } = await verify(store);
        // In LZ4 two encodings may stand for the same content; then nothing is wrong.
        if ((await decoded(damaged))?.equals((await decoded(body))!) === true) continue;
        assert.ok(
          problems.some((problem) => problem.key === key),
          `${key}: ${JSON.stringify(problems)}`,
        );
        await store.put(key, body);
      }
    });
  }
});

test('retention works on them', async () => {
  const { store, history } = await foreignReplica(3970);
  using scratch = new Scratch();
  await compact(store, { policy: 'always', now: store.now });
  const policy = { window: 0, daily: 0, weekly: 0, monthly: 0, grace: 0 };
  store.now += HOUR;
  const { freed } = await retain(store, { policy, now: store.now });
  assert.ok(freed.objects > 0);
  await expectForeign(store, scratch, undefined, history.states.at(-1)!);
  assert.deepEqual((await verify(store)).problems, []);
});

test('a snapshot made in the middle of an index is passed over for a point in that index, or the point is refused', async () => {
  let inside = 0;
  let times = 0;
  for (const seed of seeds(4, 3980)) {
    await rerunnable(seed, FILE, async () => {
      using scratch = new Scratch();
      const { store, history } = await foreignReplica(seed);
      const { id, snapshots, segments } = (await loadTimeline(store)).current!;
      const uploaded = (state: State): number =>
        segments.findLast(({ index, offset }) => index === state.index && offset < state.offset)!.lastModified;
      const found = Array.from({ length: segments.at(-1)!.index }, (_, i) => i + 1)
        .map((index) => history.states.filter((state) => state.index === index && state.offset > 0))
        .find((states) => states.length >= 3 && uploaded(states[1]!) < uploaded(states[2]!));
      if (found === undefined) return;
      inside++;
      const [early, middle, late] = found as [State, State, State];
      const path = scratch.file();
      await restore(store, path, { target: at(middle) });
      // What Litestream names by the index alone holds the second commit of it already.
      store.now = uploaded(middle);
      await store.put(snapshotKey(id, early.index, 'lz4'), frame(readFileSync(path)));
      for (const state of found) await expectForeign(store, scratch, state, state);
      for (const state of found) {
        // One upload may hold several commits; its last one is the state at its time.
        const then = history.states.findLast(
          (each) => each.index === state.index && uploaded(each) === uploaded(state),
        );
        const target = { kind: 'time', time: uploaded(state) } as const;
        assert.equal((await restore(store, scratch.file(), { target })).checksum, then!.checksum);
        times++;
      }
      await store.delete(
        snapshots.filter(({ index }) => index < early.index).map(({ index }) => snapshotKey(id, index, 'lz4')),
      );
      const error = await expectKind(expectForeign(store, scratch, early, early), 'point');
      assert.equal(error.code, 'POINT_NOT_TOLD');
      await expectForeign(store, scratch, late, late);
    });
  }
  assert.ok(inside > 0 && times > 0);
});
