/** Claim and head are witnesses: what they name and the bucket lacks is said, never answered by an older state. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { SeawallError } from '../../replica/terms/errors.ts';
import { GENERATIONS, HEAD_KEY } from '../../replica/terms/layout.ts';
import { LATEST, type Target } from '../../replica/terms/target.ts';
import { restore } from '../../replica/restore/restore.ts';
import { memoryStore, type MemoryStore } from '../../replica/store/memory.ts';
import { openStore } from '../../replica/store/open.ts';
import { loadTimeline } from '../../replica/catalogue/timeline.ts';
import { buildHistory, hashOf, type History } from '../history/history.ts';
import { Scratch } from '../history/scratch.ts';
import { seawall } from '../cli/seawall.ts';
import { Scene } from '../shipper/scene.ts';
import { readFileSync } from 'node:fs';

async function remove(store: Pick<MemoryStore, 'list' | 'delete'>, which: (key: string) => boolean): Promise<void> {
  const keys: string[] = [];
  for await (const { key } of store.list('')) if (which(key)) keys.push(key);
  assert.ok(keys.length > 0);
  await store.delete(keys);
}

const code =
  (expected: string) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof SeawallError, String(error));
    assert.equal(error.code, expected, error.message);
    return true;
  };

async function two(): Promise<{ store: MemoryStore; history: History; newest: string }> {
  const store = memoryStore();
  const history = await buildHistory(store, { seed: 5, commits: 20, generations: 2, control: true, pause: 60_000 });
  return { store, history, newest: history.generations.at(-1)!.id };
}

test('the newest generation is gone while claim and head name it: no older state is the latest one', async () => {
  const { store, history, newest } = await two();
  using scratch = new Scratch();
  const late: Target = { kind: 'time', time: history.states.at(-1)!.time + 1000 };
  await remove(store, (key) => key.startsWith(`${GENERATIONS}${newest}/`));
  await assert.rejects(restore(store, scratch.file(), { target: LATEST }), code('GENERATION_MISSING'));
  await assert.rejects(restore(store, scratch.file(), { target: late }), code('GENERATION_MISSING'));
  const older = history.generations[0]!.states.findLast((state) => state.restorable && state.marked)!;
  const { generation, index, offset } = older;
  const path = scratch.file();
  await restore(store, path, { target: { kind: 'position', position: { generation, index, offset } } });
  assert.equal(hashOf(readFileSync(path)), older.hash);
});

test('all generations are gone and a head is there: that is no new replica', async () => {
  const { store } = await two();
  using scratch = new Scratch();
  await remove(store, (key) => key.startsWith(GENERATIONS));
  await assert.rejects(restore(store, scratch.file()), code('GENERATION_MISSING'));
});

test('the newest generation’s first snapshot is missing: a time in it is an error that names what is missing', async () => {
  const { store, history, newest } = await two();
  using scratch = new Scratch();
  await remove(store, (key) => key.startsWith(`${GENERATIONS}${newest}/snapshots/`));
  await remove(store, (key) => key === HEAD_KEY);
  const states = history.generations.at(-1)!.states;
  for (const { time } of states.slice(1)) {
    const target: Target = { kind: 'time', time };
    await assert.rejects(restore(store, scratch.file(), { target }), (error) => {
      assert.ok(error instanceof SeawallError);
      assert.equal(error.code, 'SNAPSHOT_MISSING', error.message);
      assert.ok(error.message.includes(newest));
      return true;
    });
  }
  const before = history.generations[0]!.states[0]!.time;
  await restore(store, scratch.file(), { target: { kind: 'time', time: before } });
});

test('restore if missing ships no empty database over a replica whose generation is gone; list says what is missing', async () => {
  await using scene = new Scene();
  const store = await openStore(scene.bucket);
  const history = await buildHistory(store, { seed: 6, commits: 5, control: true });
  await remove(store, (key) => key.startsWith(GENERATIONS));
  await assert.rejects(scene.ship({ restore: 'if-missing', enableWal: true }), code('GENERATION_MISSING'));
  assert.equal(existsSync(scene.database), false);
  assert.equal(
    ((await loadTimeline(store).catch((error: unknown) => error)) as SeawallError).code,
    'GENERATION_MISSING',
  );
  const listed = await seawall(['list', scene.bucket]);
  assert.equal(listed.code, 4, listed.stderr);
  assert.ok(`${listed.stdout}${listed.stderr}`.includes(history.generations[0]!.id));
  await store.close();
});
