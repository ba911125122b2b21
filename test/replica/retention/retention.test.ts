/** Retention's safety: whatever the window promises is there afterwards, bit for bit, also when it was killed half way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compact } from '../../../replica/compaction/compact.ts';
import { readFloors } from '../../../replica/catalogue/floors.ts';
import { SeawallError } from '../../../replica/terms/errors.ts';
import { parseKey, REPORTS, segmentKey } from '../../../replica/terms/layout.ts';
import { planRestore } from '../../../replica/plan/plan.ts';
import { restorableOf } from '../../../replica/restore/choose-in-timeline.ts';
import { restoreState } from '../../../replica/restore/restore.ts';
import type { RetentionPolicy } from '../../../replica/retention/policy.ts';
import { retain, type RetainReport } from '../../../replica/retention/retain.ts';
import { unseal } from '../../../replica/format/sealed-json.ts';
import type { DeleteOutcome, Store } from '../../../replica/store/store.ts';
import { snapshotTime } from '../../../replica/catalogue/generation.ts';
import { loadTimeline } from '../../../replica/catalogue/timeline.ts';
import { verify } from '../../../replica/verification/verify.ts';
import { clockedStore, type ClockedStore } from '../../history/clocked-store.ts';
import { at, expectKind, expectState, stateAt } from '../../history/expect.ts';
import { buildHistory, HISTORY_START, type History } from '../../history/history.ts';
import { Scratch } from '../../history/scratch.ts';
import { rerunnable, Seeded, seeds } from '../../history/seeded.ts';

const FILE = 'test/replica/retention/retention.test.ts';
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

async function longHistory(seed: number): Promise<{ store: ClockedStore; history: History; random: Seeded }> {
  const random = new Seeded(seed);
  const store = clockedStore();
  const history = await buildHistory(store, {
    seed,
    commits: 28,
    generations: random.range(1, 3),
    pageSize: random.pick([512, 4096]),
    checkpoints: 0.3,
    snapshots: random.pick([0.2, 0.6, 1]),
    pause: random.pick([2 * HOUR, 16 * HOUR]),
    cut: { notRestorable: 0, joined: 0 },
    control: true,
    workload: { largest: 3000, most: 60_000 },
    clock: (time) => (store.now = time),
  });
  if (random.chance(0.5)) {
    store.now += random.int(HOUR);
    await compact(store, { policy: 'always', now: store.now });
  }
  return { store, history, random };
}

function randomPolicy(random: Seeded): RetentionPolicy {
  return {
    window: random.pick([0, HOUR, 12 * HOUR, 3 * DAY, 10 * DAY]),
    daily: random.int(4),
    weekly: random.int(3),
    monthly: random.int(3),
    grace: random.pick([0, HOUR, 6 * HOUR]),
  };
}

/** Every moment in the window and every state from its base on; and outside of it the truth or a refusal. */
async function checkPromise(store: Store, history: History, policy: RetentionPolicy, now: number): Promise<void> {
  using scratch = new Scratch();
  const from = now - policy.window;
  const times = new Set([from, now, ...history.states.flatMap(({ time }) => [time, time + 1])]);
  for (const time of times) {
    const expected = stateAt(history, time);
    const work = expected && expectState(store, scratch, { kind: 'time', time }, expected);
    if (time >= from) await work;
    else await work?.catch((error: unknown) => expectKind(Promise.reject(error), 'point'));
  }
  for (const state of history.states) {
    const work = expectState(store, scratch, at(state), state);
    if (state.time >= from) await work;
    else await work.catch((error: unknown) => expectKind(Promise.reject(error), 'point'));
  }
  await expectState(store, scratch, { kind: 'latest' }, history.states.at(-1)!);
  const { problems } = await verify(store);
  assert.deepEqual(problems, []);
}

/** Kept snapshots stand alone: each is restored by its position and at its moment. */
async function checkSnapshots(store: Store, history: History): Promise<void> {
  using scratch = new Scratch();
  const { generations } = await loadTimeline(store);
  for (const { id, snapshots } of generations) {
    const { states } = history.generations.find((each) => each.id === id)!;
    for (const snapshot of snapshots) {
      const state = states.findLast(({ index, offset }) => index < snapshot.index || offset === 0)!;
      const time = await snapshotTime(store, id, snapshot);
      await expectState(store, scratch, at({ ...state, index: snapshot.index, offset: 0 }), state);
      await expectState(store, scratch, { kind: 'time', time }, stateAt(history, time)!);
    }
  }
}

test('every moment in the window is restored as before, the rest correctly or not at all', async () => {
  let deleted = 0;
  for (const seed of seeds(6, 2000)) {
    await rerunnable(seed, FILE, async () => {
      const { store, history, random } = await longHistory(seed);
      const policy = randomPolicy(random);
      let now = store.now;
      for (let sweep = 0; sweep < 2; sweep++) {
        now += random.pick([policy.grace, DAY, 3 * DAY]);
        store.now = now;
        const { freed, planned, refusals, failures } = await retain(store, { policy, now });
        assert.deepEqual([refusals, failures, freed], [[], [], planned]);
        deleted += freed.objects;
        await checkPromise(store, history, policy, now);
        await checkSnapshots(store, history);
      }
    });
  }
  if (process.env['SEED'] === undefined) assert.ok(deleted > 50, `only ${deleted} objects were deleted in all`);
});

test('killed after any number of deletions, the promise holds, and the next sweep finishes the work', async () => {
  for (const seed of seeds(2, 2100)) {
    await rerunnable(seed, FILE, async () => {
      const { store: original, history, random } = await longHistory(seed);
      const policy = { ...randomPolicy(random), window: 6 * HOUR, grace: 0 };
      const now = original.now + DAY;
      const finished = await original.copy();
      const { planned } = await retain(finished, { policy, now });
      for (let kills = 0; kills < planned.objects; kills += Math.max(1, Math.floor(planned.objects / 5))) {
        const store = await original.copy();
        await assert.rejects(retain(killedAfter(store, kills), { policy, now }), /killed/);
        await checkPromise(store, history, policy, now);
        await retain(store, { policy, now });
        const objects = async (of: ClockedStore): Promise<string[]> => (await of.keys()).filter((key) => parseKey(key));
        assert.deepEqual(await objects(store), await objects(finished));
      }
    });
  }
});

function killedAfter(store: Store, deletions: number): Store {
  let left = deletions;
  return {
    ...store,
    async delete(keys) {
      await store.delete(keys.slice(0, left));
      left -= keys.length;
      if (left < 0) throw new Error('killed');
      return keys.map((key) => ({ key }));
    },
  };
}

test('a restore that was planned before the sweep finds all it needs, within the grace period', async () => {
  for (const seed of seeds(6, 2200)) {
    await rerunnable(seed, FILE, async () => {
      using scratch = new Scratch();
      const { store, history, random } = await longHistory(seed);
      const policy = { ...randomPolicy(random), grace: HOUR };
      const start = (store.now += 1);
      // A compaction just now makes a newer base; a restore from the older one is still running.
      await compact(store, { policy: 'always', now: start });
      const from = start - policy.window;
      const moments = history.states.map(({ time }) => time).filter((time) => time >= from);
      const needed = new Set<string>();
      const { generations } = await loadTimeline(store);
      for (const time of moments.slice(0, 6)) {
        const seen = await withoutYoung(store, start);
        const plan = await planRestore(seen, await loadTimeline(seen), { kind: 'time', time });
        await restoreState(restorableOf(watchedStore(seen, needed), plan), scratch.file());
      }
      const now = start + random.int(HOUR - 1);
      store.now = now;
      await retain(store, { policy, now });
      const left = new Set(await store.keys());
      for (const key of needed) assert.ok(left.has(key), `${key} was taken from a running restore`);
      assert.ok(generations.length > 0);
    });
  }
});

/** The replica as a reader saw it who listed it just before `time`. */
async function withoutYoung(store: ClockedStore, time: number): Promise<Store> {
  const copy = await store.copy();
  const young: string[] = [];
  for await (const { key, lastModified } of store.list('generations/')) if (lastModified >= time) young.push(key);
  await copy.delete(young);
  return copy;
}

function watchedStore(store: Store, read: Set<string>): Store {
  const watch = (key: string): string => {
    if (parseKey(key) !== undefined) read.add(key);
    return key;
  };
  return {
    ...store,
    get: (key, range) => store.get(watch(key), range),
    stream: (key, range) => store.stream(watch(key), range),
  };
}

test('a dry run plans the same and changes nothing', async () => {
  const { store } = await longHistory(2301);
  const policy = { window: HOUR, daily: 1, weekly: 0, monthly: 0, grace: 0 };
  const now = store.now + DAY;
  const before = await store.keys();
  const dry = await retain(store, { policy, now, dryRun: true });
  assert.deepEqual(await store.keys(), before);
  assert.ok(dry.planned.objects > 0);
  assert.deepEqual(dry.freed, { objects: 0, bytes: 0 });
  const real = await retain(store, { policy, now });
  assert.deepEqual(real.delete, dry.delete);
  assert.equal((await store.keys()).filter((key) => parseKey(key)).length, before.filter((key) => parseKey(key)).length - dry.planned.objects); // prettier-ignore
});

test('nothing younger than the grace period goes', async () => {
  for (const seed of seeds(4, 2400)) {
    await rerunnable(seed, FILE, async () => {
      const { store } = await longHistory(seed);
      const policy = { window: 0, daily: 0, weekly: 0, monthly: 0, grace: 30 * DAY };
      const now = store.now + 1000;
      const young = new Set<string>();
      for await (const { key, lastModified } of store.list('')) if (lastModified > now - policy.grace) young.add(key);
      const report = await retain(store, { policy, now });
      for (const { key } of report.delete) assert.ok(!young.has(key));
    });
  }
});

test('reports are sealed, and the last thirty are kept', async () => {
  const { store } = await longHistory(2500);
  for (let i = 0; i < 33; i++) await retain(store, { policy: { grace: 0 }, now: store.now + i * HOUR });
  const reports = (await store.keys()).filter((key) => key.startsWith(REPORTS));
  assert.equal(reports.length, 30);
  const { body } = await store.get(reports.at(-1)!);
  const report = unseal('retain', 1, body, reports.at(-1)!) as unknown as RetainReport;
  assert.equal(report.now, store.now + 32 * HOUR);
  assert.deepEqual((await verify(store)).problems, []);
});

test('refusals: a hole in the window, a clock that is wrong, nothing restorable', async (t) => {
  const policy = { window: 30 * DAY, daily: 0, weekly: 0, monthly: 0, grace: 0 };
  await t.test('a hole', async () => {
    const { store, history } = await longHistory(2600);
    const { generation, index } = history.states.at(-1)!;
    assert.ok(index > 1);
    const gone = (await store.keys()).filter((key) => key.includes(`${generation}/wal/00000001_`));
    await store.delete(gone);
    const before = await store.keys();
    const report = await retain(store, { policy, now: store.now });
    assert.deepEqual(report.refusals.map(({ code }) => code), ['WINDOW_HOLE']); // prettier-ignore
    assert.ok(report.refusals[0]!.message.includes(`${generation}/00000001`));
    assert.deepEqual((await store.keys()).filter((key) => !key.startsWith(REPORTS)), before); // prettier-ignore
  });
  await t.test('a clock', async () => {
    const { store } = await longHistory(2601);
    const report = await retain(store, { policy, now: HISTORY_START - DAY });
    assert.ok(report.refusals.some(({ code }) => code === 'CLOCK'));
    assert.equal(report.freed.objects, 0);
  });
  await t.test('no snapshot', async () => {
    const { store } = await longHistory(2602);
    await store.delete((await store.keys()).filter((key) => parseKey(key)?.kind === 'snapshot'));
    const report = await retain(store, { policy: { ...policy, window: 0 }, now: store.now + DAY });
    assert.deepEqual(report.refusals.map(({ code }) => code), ['NOTHING_RESTORABLE']); // prettier-ignore
    assert.equal(report.freed.objects, 0);
  });
  await t.test('a snapshot that cannot be dated', async () => {
    const { store } = await longHistory(2603);
    const key = (await store.keys()).find((each) => parseKey(each)?.kind === 'snapshot')!;
    const { body } = await store.get(key);
    body[30]! ^= 1;
    await store.put(key, body);
    const before = await store.keys();
    const error = await expectKind(retain(store, { policy, now: store.now }), 'corrupt');
    assert.equal(error.facts.key, key);
    assert.deepEqual(await store.keys(), before);
  });
});

test('generations without a snapshot go when nobody names them and they are old enough', async () => {
  const { store, history } = await longHistory(2700);
  const { generation } = history.states.at(-1)!;
  const [first] = (await store.keys()).filter((key) => parseKey(key)?.kind === 'segment');
  const { body } = await store.get(first!);
  const stray = segmentKey('0123456789abcdef', 0, 0, 'lz4');
  await store.put(stray, body);
  const policy = { window: 300 * DAY, daily: 0, weekly: 0, monthly: 0, grace: HOUR };
  // The stray is no segment of its generation, so its time cannot be read; the claim makes that harmless.
  await retain(store, { policy, now: store.now + HOUR - 1 });
  assert.ok((await store.keys()).includes(stray));
  const report = await retain(store, { policy, now: store.now + HOUR + 1 });
  assert.deepEqual(report.delete.map(({ key, reason }) => [key, reason]), [[stray, 'unfinished']]); // prettier-ignore
  assert.ok((await store.keys()).some((key) => key.includes(generation)));
});

test('foreign keys are never touched', async () => {
  const { store } = await longHistory(2701);
  const foreign = [
    'generations/notes.txt',
    'generations/0000000000000000/wal/readme',
    'other/file',
    'seawall/evidence/x',
  ];
  for (const key of foreign) await store.put(key, Buffer.from(key));
  await retain(store, { policy: { window: 0, daily: 0, weekly: 0, monthly: 0, grace: 0 }, now: store.now + DAY });
  const left = new Set(await store.keys());
  for (const key of foreign) assert.ok(left.has(key), key);
});

test('outcomes are inspected: locked keys, lies, denials and lost connections', async (t) => {
  const policy = { window: 0, daily: 0, weekly: 0, monthly: 0, grace: 0 };
  const prepared = async (): Promise<{ store: ClockedStore; now: number; planned: RetainReport }> => {
    const { store } = await longHistory(2800);
    const now = store.now + DAY;
    return { store, now, planned: await retain(store, { policy, now, dryRun: true }) };
  };
  const withDelete = (store: Store, outcome: (key: string) => Promise<Error | undefined>): Store => ({
    ...store,
    async delete(keys) {
      const outcomes: DeleteOutcome[] = [];
      for (const key of keys) {
        const error = await outcome(key);
        outcomes.push(error === undefined ? { key } : { key, error });
      }
      return outcomes;
    },
  });
  await t.test('a locked key is reported and the promise holds', async () => {
    const { store, now, planned } = await prepared();
    const locked = planned.delete[planned.delete.length >> 1]!.key;
    const said = new Error('Access Denied because object protected by object lock.');
    const error = new SeawallError('denied', 'STORE_ACCESS_DENIED', 'access denied', {}, said);
    const holding = withDelete(store, async (key) => {
      if (key === locked) return error;
      await store.delete([key]);
      return undefined;
    });
    const report = await retain(holding, { policy, now });
    assert.deepEqual(report.failures.map(({ key, code }) => [key, code]), [[locked, 'OBJECT_LOCKED']]); // prettier-ignore
    assert.ok(report.freed.objects > 0 && report.freed.objects < planned.planned.objects);
    assert.deepEqual((await verify(store)).problems, []);
    assert.equal((await retain(store, { policy, now })).failures.length, 0);
    assert.ok(!(await store.keys()).includes(locked));
  });
  await t.test('a missing permission is no lock, whatever bucket and key are called', async () => {
    const { store, now } = await prepared();
    const action = 'is not authorized to perform: s3:DeleteObject on resource:';
    const said = new Error(`User: arn:aws:iam::1:user/worm ${action} "arn:aws:s3:::worm/retention.db/x" because`);
    const message = 's3://worm/retention.db/x: access denied (object lock)';
    const error = new SeawallError('denied', 'STORE_ACCESS_DENIED', message, {}, said);
    await assert.rejects(
      retain(
        withDelete(store, () => Promise.resolve(error)),
        { policy, now },
      ),
      (thrown) => thrown instanceof SeawallError && thrown.code === 'RETENTION_STOPPED',
    );
  });
  await t.test(
    'uploads that were abandoned a week ago are aborted; that this is not allowed is only reported',
    async () => {
      const { store, now } = await prepared();
      await (
        await store.upload('generations/0123456789abcdef/snapshots/00000000.snapshot.lz4')
      ).put(1, 0, Buffer.alloc(10));
      const later = Date.now() + 8 * DAY; // the memory store starts uploads by the machine's clock
      const denied: Store = {
        ...store,
        // eslint-disable-next-line require-yield
        async *unfinished() {
          throw new SeawallError('denied', 'STORE_ACCESS_DENIED', 'no');
        },
      };
      const first = await retain(denied, { policy, now });
      assert.deepEqual(first.failures.map(({ code }) => code), ['UPLOADS_NOT_LISTED']); // prettier-ignore
      assert.equal((await retain(store, { policy, now: Date.now() })).abandonedUploads, 0);
      assert.equal((await retain(store, { policy, now: later })).abandonedUploads, 1);
    },
  );
  await t.test('a store that says deleted and deletes nothing', async () => {
    const { store, now, planned } = await prepared();
    const report = await retain(
      withDelete(store, async () => undefined),
      { policy, now },
    );
    assert.equal(report.failures.length, planned.planned.objects);
    assert.ok(report.failures.every(({ code }) => code === 'DELETE_HAD_NO_EFFECT'));
    assert.deepEqual(report.freed, { objects: 0, bytes: 0 });
  });
  for (const kind of ['denied', 'unreachable'] as const) {
    await t.test(`${kind} stops the sweep with an error, and the report says how far it came`, async () => {
      const { store, now } = await prepared();
      const failing = withDelete(store, async () => new SeawallError(kind, 'STORE_X', `the store says ${kind}`));
      const error = await expectKind(retain(failing, { policy, now }), kind);
      assert.equal(error.code, 'RETENTION_STOPPED');
      const reports = (await store.keys()).filter((key) => key.startsWith(REPORTS));
      const { body } = await store.get(reports.at(-1)!);
      assert.match(
        String((unseal('retain', 1, body, 'report') as { stopped?: unknown }).stopped),
        /stopped in generation/,
      );
      assert.ok((await readFloors(store))!.floors.size > 0);
      assert.deepEqual((await verify(store)).problems, []);
    });
  }
});
