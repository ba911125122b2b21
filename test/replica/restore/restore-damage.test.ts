/** What is missing or damaged is named; an older state is never passed off as the one asked for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeClaim } from '../../../replica/catalogue/claim.ts';
import { writeFloors } from '../../../replica/catalogue/floors.ts';
import { writeHead } from '../../../replica/catalogue/head.ts';
import type { SeawallError } from '../../../replica/terms/errors.ts';
import { CLAIM_KEY, HEAD_KEY, parseKey, segmentKey, snapshotKey } from '../../../replica/terms/layout.ts';
import { restore } from '../../../replica/restore/restore.ts';
import { memoryStore } from '../../../replica/store/memory.ts';
import type { Store } from '../../../replica/store/store.ts';
import { clockedStore, type ClockedStore } from '../../history/clocked-store.ts';
import { at, expectKind, expectState, latestState, stateAt } from '../../history/expect.ts';
import { buildHistory, positionOf, type History, type HistoryOptions } from '../../history/history.ts';
import { Scratch } from '../../history/scratch.ts';
import { rerunnable, Seeded, seeds } from '../../history/seeded.ts';

const FILE = 'test/replica/restore/restore-damage.test.ts';
const CUT = { notRestorable: 0, joined: 0 };

async function replica(options: HistoryOptions): Promise<{ store: ClockedStore; history: History; keys: string[] }> {
  const store = clockedStore();
  const history = await buildHistory(store, {
    cut: CUT,
    codec: 'lz4',
    clock: (time) => (store.now = time),
    ...options,
  });
  return { store, history, keys: await store.keys() };
}

async function failure(store: Store, options: Parameters<typeof restore>[2]): Promise<SeawallError> {
  using scratch = new Scratch();
  const kinds = ['corrupt', 'missing', 'point', 'unsupported'] as const;
  return await expectKind(restore(store, scratch.file(), options), ...kinds);
}

test('with any one object missing, every restore gives the right state or a named error', async () => {
  for (const seed of seeds(2, 800)) {
    await rerunnable(seed, FILE, async () => {
      using scratch = new Scratch();
      const { store, history, keys } = await replica({
        seed,
        commits: 8,
        checkpoints: 0.3,
        snapshots: 0.4,
        control: true,
      });
      const end = history.states.at(-1)!;
      for (const key of keys.filter((each) => parseKey(each) !== undefined)) {
        const { body } = await store.get(key);
        await store.delete([key]);
        let failures = 0;
        for (const state of history.states) {
          const times = [state.time, state.time + 1];
          for (const target of [at(state), ...times.map((time) => ({ kind: 'time', time }) as const)]) {
            const expected = target.kind === 'time' ? stateAt(history, target.time)! : state;
            await expectState(store, scratch, target, expected).catch(async (error: unknown) => {
              failures++;
              await expectKind(Promise.reject(error), 'corrupt', 'point', 'missing');
            });
          }
        }
        await expectState(store, scratch, { kind: 'latest' }, end).catch((error: unknown) =>
          expectKind(Promise.reject(error), 'corrupt', 'missing'),
        );
        if (parseKey(key)?.kind === 'segment') assert.ok(failures > 0, `nothing noticed that ${key} is missing`);
        await store.put(key, body);
      }
    });
  }
});

test('a missing segment in the middle of an index is WAL_GAP, and names the position', async () => {
  const { store, history, keys } = await replica({ seed: 820, commits: 20, checkpoints: 0 });
  const segments = keys.filter((key) => parseKey(key)?.kind === 'segment');
  assert.ok(segments.length > 3);
  const [, second, third] = segments;
  await store.delete([second!]);
  const error = await failure(store, { target: { kind: 'latest' } });
  assert.equal(error.code, 'WAL_GAP');
  assert.equal(error.kind, 'corrupt');
  assert.equal(error.facts.key, third);
  assert.ok(error.message.includes(third!));
  assert.ok(error.facts.position?.startsWith(`${history.generations[0]!.id}/00000000/`));
});

test('a missing first segment of an index is WAL_GAP', async () => {
  const { store, history, keys } = await replica({ seed: 821, commits: 20, checkpoints: 0.3 });
  const generation = history.generations[0]!.id;
  const last = history.states.at(-1)!.index;
  assert.ok(last > 1);
  for (const index of [last - 1, last]) {
    const key = segmentKey(generation, index, 0, 'lz4');
    const { body } = await store.get(key);
    const others = keys.filter((each) => each.includes(`/wal/${index.toString(16).padStart(8, '0')}_`));
    await store.delete([key]);
    const error = await failure(store, {});
    if (others.length > 1 || index < last) assert.equal(error.code, 'WAL_GAP');
    await store.put(key, body);
  }
});

test('segments missing at the end are seen by the head, for the latest state and for times after it', async () => {
  for (const seed of seeds(4, 830)) {
    await rerunnable(seed, FILE, async () => {
      const { store, history, keys } = await replica({ seed, commits: 16, checkpoints: 0.2, control: true });
      const last = keys.findLast((key) => parseKey(key)?.kind === 'segment')!;
      await store.delete([last]);
      const end = history.states.at(-1)!;
      for (const target of [{ kind: 'latest' }, { kind: 'time', time: end.time + 5000 }] as const) {
        const error = await failure(store, { target });
        assert.equal(error.code, 'HEAD_BEYOND_SEGMENTS');
        assert.equal(error.facts.expected, positionOf(end));
        assert.equal(error.facts.key, HEAD_KEY);
      }
    });
  }
});

test('a head at the start of the next index does not hide that the end of an index is missing', async () => {
  const { store, history, keys } = await replica({
    seed: 840,
    commits: 10,
    checkpoints: 0,
    cut: { ...CUT, midTransaction: 1 },
  });
  const end = history.states.at(-1)!;
  const head = { checksum: end.checksum, pages: end.pages, committed: end.time, seen: end.time };
  await writeHead(store, { ...head, position: { generation: end.generation, index: end.index + 1, offset: 0 } });
  using scratch = new Scratch();
  await expectState(store, scratch, { kind: 'latest' }, end);
  await expectState(store, scratch, at({ ...end, index: end.index + 1, offset: 0 }), end);
  await store.delete([keys.findLast((key) => parseKey(key)?.kind === 'segment')!]);
  assert.equal((await failure(store, {})).code, 'HEAD_BEYOND_SEGMENTS');
});

test('the start of an index that has not begun is not the end of the one before', async () => {
  const { store, history } = await replica({ seed: 841, commits: 10, checkpoints: 0 });
  const end = history.states.at(-1)!;
  const error = await failure(store, { target: at({ ...end, index: 1, offset: 0 }) });
  assert.equal(error.code, 'POINT_NOT_KEPT');
  assert.equal(error.facts.before, positionOf(end));
});

test('a time whose WAL retention took is refused and names the nearest; the snapshot itself is still there', async () => {
  const { store, history, keys } = await replica({
    seed: 850,
    commits: 30,
    checkpoints: 0.3,
    snapshots: 1,
    generations: 2,
  });
  const [old, current] = history.generations;
  using scratch = new Scratch();
  const kept = snapshotKey(old!.id, 1, 'lz4');
  const gone = keys.filter((key) => key.includes(old!.id) && key !== kept);
  await writeFloors(store, new Map([[old!.id, 2 ** 32]]), 'absent');
  await store.delete(gone);
  const state = old!.states.findLast(({ index }) => index === 0)!;
  await expectState(store, scratch, { kind: 'time', time: state.time }, state);
  await expectState(store, scratch, at({ ...state, index: 1, offset: 0 }), state);
  const error = await failure(store, { target: { kind: 'time', time: state.time + 1 } });
  assert.equal(error.code, 'POINT_NOT_KEPT');
  assert.equal(error.facts.before, new Date(state.time).toISOString());
  assert.equal(error.facts.after, new Date(current!.states[0]!.time).toISOString());
  assert.match(error.message, /Nearest before: .* Nearest after: /);
  const early = await failure(store, { target: { kind: 'time', time: state.time - 1 } });
  assert.equal(early.code, 'POINT_BEFORE_FIRST');
});

test('positions that are not there: unknown generation, before the first snapshot, past the end', async () => {
  const { store, history, keys } = await replica({ seed: 860, commits: 20, checkpoints: 0.3, snapshots: 1 });
  const end = history.states.at(-1)!;
  const unknown = await failure(store, { target: at({ ...end, generation: 'ffffffffffffffff' }) });
  assert.deepEqual([unknown.kind, unknown.code], ['point', 'POINT_UNKNOWN_GENERATION']);
  const past = await failure(store, { target: at({ ...end, offset: end.offset + 1000 }) });
  assert.deepEqual([past.kind, past.facts.before], ['point', positionOf(end)]);
  const far = await failure(store, { target: at({ ...end, index: 99, offset: 32 }) });
  assert.deepEqual([far.code, far.facts.before], ['POINT_NOT_KEPT', positionOf(end)]);
  await store.delete(keys.filter((key) => key.includes('00000000.snapshot')));
  const before = await failure(store, { target: at({ ...end, index: 0, offset: 0 }) });
  assert.deepEqual([before.code, before.facts.after], ['POINT_BEFORE_FIRST', `${end.generation}/00000001/00000000`]);
});

test('a claimed generation without a snapshot holds nothing: the latest state is in the one before', async () => {
  const { store, history } = await replica({ seed: 870, commits: 10 });
  using scratch = new Scratch();
  const claim = { generation: 'abcdefabcdefabcd', epoch: 2, owner: 'x', holder: 'y', since: 0 };
  await writeClaim(store, claim, 'absent');
  await store.put(
    segmentKey(claim.generation, 0, 0, 'lz4'),
    (await store.get(segmentKey(history.generations[0]!.id, 0, 0, 'lz4'))).body,
  );
  await expectState(store, scratch, { kind: 'latest' }, latestState(history)).catch((error: unknown) =>
    expectKind(Promise.reject(error), 'corrupt'),
  );
  const end = latestState(history);
  const head = { checksum: 0n, pages: 1, committed: 0, seen: 0 };
  await writeHead(store, { ...head, position: { ...end, generation: claim.generation } });
  assert.equal((await failure(store, {})).code, 'NO_SNAPSHOT');
});

test('damage in one generation leaves the others restorable', async () => {
  const { store, history } = await replica({ seed: 880, commits: 20, generations: 2, control: true });
  using scratch = new Scratch();
  const [old] = history.generations;
  const key = snapshotKey(old!.id, 0, 'lz4');
  const { body } = await store.get(key);
  body[20]! ^= 1;
  store.now = old!.states[0]!.time;
  await store.put(key, body);
  const end = latestState(history);
  await expectState(store, scratch, { kind: 'latest' }, end);
  await expectState(store, scratch, { kind: 'time', time: end.time }, end);
  const error = await failure(store, { target: { kind: 'time', time: old!.states[0]!.time } });
  assert.deepEqual([error.kind, error.facts.key], ['corrupt', key]);
});

test('a damaged snapshot is named; once it is put aside, the same states are restored from the one before it', async () => {
  for (const seed of seeds(2, 860)) {
    await rerunnable(seed, FILE, async () => {
      using scratch = new Scratch();
      const { store, history, keys } = await replica({ seed, commits: 10, checkpoints: 0.4, snapshots: 0.5 });
      const snapshots = keys.filter((key) => parseKey(key)?.kind === 'snapshot');
      assert.ok(snapshots.length > 1);
      const newest = snapshots.at(-1)!;
      const { index } = parseKey(newest)!;
      const body = Buffer.from((await store.get(newest)).body);
      body[body.length >> 1]! ^= 1;
      await store.put(newest, body);
      const end = history.states.at(-1)!;
      const error = await failure(store, { target: at(end) });
      assert.equal(error.kind, 'corrupt');
      assert.equal(error.facts.key, newest);
      await store.delete([newest]);
      const behind = history.states.filter((state) => state.index >= index);
      for (const state of behind) await expectState(store, scratch, at(state), state);
    });
  }
});

test('an object under another object’s name is an error, never another state', async () => {
  const { store, history, keys } = await replica({
    seed: 890,
    commits: 20,
    checkpoints: 0.3,
    snapshots: 1,
    generations: 2,
  });
  using scratch = new Scratch();
  const random = new Seeded(890);
  for (const kind of ['snapshot', 'segment'] as const) {
    const of = keys.filter((key) => parseKey(key)?.kind === kind);
    for (let i = 0; i < 10; i++) {
      const [to, from] = [random.pick(of), random.pick(of)];
      if (to === from) continue;
      const { body } = await store.get(to);
      await store.put(to, (await store.get(from)).body);
      let failures = 0;
      for (const state of history.states) {
        await expectState(store, scratch, at(state), state).catch(async (error: unknown) => {
          failures++;
          const { facts } = await expectKind(Promise.reject(error), 'corrupt');
          assert.equal(facts.key, to);
        });
      }
      assert.ok(failures > 0);
      await store.put(to, body);
    }
  }
});

test('an empty place is REPLICA_EMPTY', async () => {
  const error = await failure(memoryStore(), {});
  assert.deepEqual([error.kind, error.code], ['missing', 'REPLICA_EMPTY']);
});

test('a damaged head is a warning, not an obstacle; that the end cannot be checked is said', async () => {
  const { store, history } = await replica({ seed: 860, commits: 12, checkpoints: 0.2, control: true });
  const end = history.states.at(-1)!;
  await store.put(HEAD_KEY, Buffer.from('{"not":"sealed"}'));
  using scratch = new Scratch();
  for (const target of [{ kind: 'latest' }, { kind: 'time', time: end.time + 5000 }, at(end)] as const) {
    const { warnings, checksum } = await restore(store, scratch.file(), { target });
    assert.equal(checksum, end.checksum);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /head/);
  }
  const whole = await replica({ seed: 860, commits: 12, checkpoints: 0.2, control: true });
  assert.deepEqual((await restore(whole.store, scratch.file(), {})).warnings, []);
});

test('with a damaged head, a claimed generation that lost its snapshot is not taken for one that has none yet', async () => {
  const { store, history, keys } = await replica({ seed: 861, commits: 12, checkpoints: 0, control: true });
  const generation = history.states.at(-1)!.generation;
  await store.put(HEAD_KEY, Buffer.from('damaged'));
  await store.delete(keys.filter((key) => parseKey(key)?.kind === 'snapshot' && key.includes(generation)));
  const error = await failure(store, {});
  assert.equal(error.kind, 'corrupt');
  assert.equal(error.facts.key, HEAD_KEY);
});

test('with a damaged claim a position is restored all the same; anything else says how', async () => {
  const { store, history } = await replica({ seed: 862, commits: 12, checkpoints: 0.2, control: true });
  const end = history.states.at(-1)!;
  await store.put(CLAIM_KEY, Buffer.from('damaged'));
  using scratch = new Scratch();
  const restored = await restore(store, scratch.file(), { target: at(end) });
  assert.equal(restored.checksum, end.checksum);
  assert.match(restored.warnings.join(), /claim/);
  for (const target of [{ kind: 'latest' }, { kind: 'time', time: end.time }] as const) {
    const error = await failure(store, { target });
    assert.equal(error.kind, 'corrupt');
    assert.equal(error.facts.key, CLAIM_KEY);
    assert.match(error.message, /restore by a position/);
  }
});
