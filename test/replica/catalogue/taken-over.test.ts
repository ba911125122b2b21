/** A Litestream 0.3 that writes beside a shipper's generation, or goes on where the shipper was stopped for good. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backupAge } from '../../../replica/restore/backup-age.ts';
import { compact } from '../../../replica/compaction/compact.ts';
import { writeHead, readHead } from '../../../replica/catalogue/head.ts';
import { segmentsOf } from '../../../replica/catalogue/generation.ts';
import { segmentKey } from '../../../replica/terms/layout.ts';
import { loadReplica } from '../../../replica/restore/choose.ts';
import { restore } from '../../../replica/restore/restore.ts';
import { retain } from '../../../replica/retention/retain.ts';
import { LATEST, type Target } from '../../../replica/terms/target.ts';
import { loadTimeline } from '../../../replica/catalogue/timeline.ts';
import { verify, type VerifyReport } from '../../../replica/verification/verify.ts';
import { clockedStore, type ClockedStore } from '../../history/clocked-store.ts';
import { at } from '../../history/expect.ts';
import { foreignReplica } from '../../history/foreign.ts';
import { buildHistory, type State } from '../../history/history.ts';
import { Scratch } from '../../history/scratch.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

interface Both {
  readonly store: ClockedStore;
  /** All states of ours, and the newest of both. */
  readonly states: readonly State[];
  readonly ours: State;
  readonly theirs: State;
  /** The last word of the shipper, and the first and the last object of the other program; by the store's clock. */
  readonly word: number;
  readonly first: number;
  readonly last: number;
}

/** Two histories in one replica; `when` says when the other program's first object came, or its last one. */
async function both(
  when: (word: number) => { readonly first: number } | { readonly last: number },
  commits = 8,
): Promise<Both> {
  const store = clockedStore();
  const clock = (time: number): number => (store.now = time);
  const cut = { notRestorable: 0 };
  const history = await buildHistory(store, { seed: 9800, commits, checkpoints: 0.4, codec: 'lz4', control: true, pause: HOUR, clock, cut }); // prettier-ignore
  const word = store.now;
  const other = await foreignReplica(9804);
  const objects = await stamps(other.store);
  const [begin, end] = [objects[0]!.time, objects.at(-1)!.time];
  const wanted = when(word);
  const shift = 'first' in wanted ? wanted.first - begin : wanted.last - end;
  for (const { key, time } of objects) {
    store.now = time + shift;
    await store.put(key, (await other.store.get(key)).body);
  }
  const [ours, theirs] = [history.states.at(-1)!, other.history.states.at(-1)!];
  return { store, states: history.states, ours, theirs, word, first: begin + shift, last: end + shift };
}

async function expectRestored(store: ClockedStore, target: Target, state: State, warning?: RegExp): Promise<void> {
  using scratch = new Scratch();
  const { position, checksum, warnings } = await restore(store, scratch.file(), { target });
  assert.equal(checksum, state.checksum, position);
  assert.equal(warnings.length, warning === undefined ? 0 : 1, warnings.join());
  if (warning !== undefined) assert.match(warnings[0]!, warning);
}

function codes({ warnings }: VerifyReport): string[] {
  return warnings.map(({ code }) => code);
}

test('one that begins after the shipper’s last word has taken over: the latest state is its own, and both are named', async () => {
  const { store, ours, theirs, last } = await both((word) => ({ first: word + HOUR }));
  const words = new RegExp(`generation ${theirs.generation} after .* ${ours.generation}: the latest state`);
  await expectRestored(store, LATEST, theirs, words);
  await expectRestored(store, { kind: 'time', time: last + HOUR }, theirs);
  await expectRestored(store, at(ours), ours);
  const { current, shipped } = await loadTimeline(store);
  assert.deepEqual([current?.id, shipped?.id], [theirs.generation, ours.generation]);
  const report = await verify(store);
  assert.deepEqual([report.problems, codes(report)], [[], ['OTHER_PROGRAM']]);
  assert.equal((await backupAge(store, await loadReplica(store), last + HOUR)).age, HOUR);

  const outcome = await compact(store, { policy: 'always', now: last + HOUR });
  assert.equal(outcome.kind, 'compacted');
  assert.ok(outcome.key.includes(theirs.generation));
  await expectRestored(store, LATEST, theirs, words);
});

test('however long both are idle then, retention keeps its newest state, and what it took is not missed', async () => {
  const { store, ours, theirs, last } = await both((word) => ({ first: word + HOUR }));
  const policy = { window: 7 * DAY, daily: 0, weekly: 0, monthly: 0, grace: 0 };
  for (const days of [100, 200]) {
    store.now = last + days * DAY;
    assert.ok((await retain(store, { policy, now: store.now })).freed.objects > 0);
    await expectRestored(store, LATEST, theirs);
    const report = await verify(store);
    assert.deepEqual([report.problems, codes(report)], [[], ['CLAIM_WITHOUT_OBJECTS']]);
    // The next sweep has something to delete again.
    if (days === 100) await compact(store, { policy: 'always', now: store.now });
  }
  const keys = await store.keys();
  assert.ok(!keys.some((key) => key.includes(ours.generation)));
});

test('one that was there before the shipper’s last word writes beside it: the claim decides, and both are named', async () => {
  const { store, ours, theirs, last, word, first } = await both((word) => ({ last: word + 1 }), 40);
  assert.ok(first < word);
  const words = new RegExp(`its generation ${theirs.generation} has newer objects than .*, ${ours.generation}, which`);
  await expectRestored(store, LATEST, ours, words);
  await expectRestored(store, { kind: 'time', time: last + DAY }, ours);
  await expectRestored(store, at(theirs), theirs);
  const report = await verify(store);
  assert.deepEqual([report.problems, codes(report)], [[], ['OTHER_PROGRAM']]);

  // The next heartbeat is the last word again.
  store.now = last + 1;
  await writeHead(store, { ...(await readHead(store))!, seen: last + 1 });
  await expectRestored(store, LATEST, ours);
  assert.deepEqual(codes(await verify(store)), []);
  const { generations } = await loadTimeline(store);
  assert.deepEqual(generations.map(({ id }) => id), [theirs.generation, ours.generation]); // prettier-ignore
});

test('one that wrote beside the shipper for a while hides nothing of the shipper’s past, from restores or from retention', async () => {
  const { store, ours, theirs, first, last, states } = await both((word) => ({ last: word - 1 }), 40);
  const past = states.filter(({ time, index }) => time > last - 4 * HOUR && time < last && index > 0);
  assert.ok(past.length > 1 && states[0]!.time < first && first < last - 4 * HOUR);
  const policy = { window: 4 * HOUR, daily: 0, weekly: 0, monthly: 0, grace: 0 };
  const all = async (): Promise<void> => {
    for (const state of past) await expectRestored(store, { kind: 'time', time: state.time }, state);
    await expectRestored(store, { kind: 'time', time: last + DAY }, ours);
    await expectRestored(store, LATEST, ours);
  };
  await all();
  await compact(store, { policy: 'always', now: last });
  assert.ok((await retain(store, { policy, now: last })).freed.objects > 0);
  await all();
  assert.ok(!(await store.keys()).some((key) => key.includes(theirs.generation)));
  assert.deepEqual((await verify(store)).problems, []);
});

test('a shipper’s clock that is ahead, and a compaction after it was stopped, do not hide that it was followed', async () => {
  const { store, theirs, word } = await both((word) => ({ first: word + HOUR }));
  const words = /after the last word/;
  const head = (await readHead(store))!;
  store.now = word;
  await writeHead(store, { ...head, seen: word + 1000 * DAY });
  await expectRestored(store, LATEST, theirs, words);

  const without = await both((word) => ({ first: word + HOUR }));
  const foreign = (await without.store.keys()).filter((key) => key.includes(theirs.generation));
  const removed = await Promise.all(
    foreign.map(async (key) => {
      const { body, lastModified } = await without.store.get(key);
      return { key, body, lastModified };
    }),
  );
  await without.store.delete(foreign);
  without.store.now = without.last + DAY;
  assert.equal((await compact(without.store, { policy: 'always', now: without.store.now })).kind, 'compacted');
  for (const { key, body, lastModified } of removed) {
    without.store.now = lastModified;
    await without.store.put(key, body);
  }
  await expectRestored(without.store, LATEST, without.theirs, words);
});

test('a generation of ours that no claim names takes over nothing, whenever it was written', async () => {
  const store = clockedStore();
  const clock = (time: number): number => (store.now = time);
  const history = await buildHistory(store, { seed: 9802, commits: 4, control: true, clock, cut: { notRestorable: 0 } }); // prettier-ignore
  const late = store.now + DAY;
  await buildHistory(store, { seed: 9803, commits: 4, clock: (time) => (store.now = time + late) });
  await expectRestored(store, LATEST, history.states.at(-1)!);
  assert.deepEqual(codes(await verify(store)), []);
});

test('of two generations that began within one second, the one that was written longer is the later one', async () => {
  for (const seed of [9810, 9811, 9812, 9813]) {
    const [older, newer] = [await foreignReplica(seed), await foreignReplica(seed + 10)];
    const store = clockedStore();
    const newest = Math.max(...(await stamps(older.store)).map(({ time }) => time));
    // All that retention left of the older one is its last snapshot.
    const kept = (await stamps(older.store)).filter(({ key }) => key.includes('/snapshots/')).slice(-1);
    for (const { key } of kept) {
      store.now = newest;
      await store.put(key, (await older.store.get(key)).body);
    }
    const objects = await stamps(newer.store);
    for (const { key, time } of objects) {
      store.now = newest + time - objects[0]!.time;
      await store.put(key, (await newer.store.get(key)).body);
    }
    await expectRestored(store, LATEST, newer.history.states.at(-1)!);
  }
});

test('of two that were begun and written within one second, the one whose WAL reaches further is the later one', async () => {
  let inWrongOrder = 0;
  for (let seed = 9830; seed < 9838; seed++) {
    const { store, history } = await foreignReplica(seed, 2);
    store.now = Date.UTC(2026, 5, 1);
    for (const key of await store.keys()) await store.put(key, (await store.get(key)).body);
    await expectRestored(store, LATEST, history.states.at(-1)!);
    const [older, newer] = history.generations;
    if (older!.id > newer!.id) inWrongOrder++;
  }
  assert.ok(inWrongOrder > 0);
});

test('of two twins on one WAL, the one that reaches further is the later one', async () => {
  for (const shorter of ['0'.repeat(16), 'f'.repeat(16)]) {
    const { store, history } = await foreignReplica(9841);
    const { generation, index } = history.states.at(-1)!;
    store.now = Date.UTC(2026, 5, 1);
    const whole = await loadTimeline(store);
    const last = segmentsOf(whole.current!, index);
    assert.ok(last.length > 1);
    const behind = segmentKey(generation, index, last.at(-1)!.offset, 'lz4');
    for (const key of await store.keys()) {
      const { body } = await store.get(key);
      await store.put(key, body);
      if (key !== behind) await store.put(key.replace(generation, shorter), body);
    }
    await expectRestored(store, LATEST, history.states.at(-1)!);
    assert.deepEqual((await loadTimeline(store)).generations.map(({ id }) => id), [shorter, generation]); // prettier-ignore
  }
});

async function stamps(store: ClockedStore): Promise<{ readonly key: string; readonly time: number }[]> {
  const found: { key: string; time: number }[] = [];
  for await (const { key, lastModified } of store.list('')) found.push({ key, time: lastModified });
  return found.sort((a, b) => a.time - b.time);
}
