/** What the bucket loses is said, nothing is acknowledged into it, and the latest state is made restorable again. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compact } from '../../replica/compaction/compact.ts';
import { openStore } from '../../replica/store/open.ts';
import type { Store } from '../../replica/store/store.ts';
import { GENERATIONS } from '../../replica/terms/layout.ts';
import { loadTimeline } from '../../replica/catalogue/timeline.ts';
import { assertSameBytes } from '../history/same-bytes.ts';
import { blobTable } from '../shipper/blob-table.ts';
import { Scene, until } from '../shipper/scene.ts';

process.env['AWS_ACCESS_KEY_ID'] ??= 'test';
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'test';

interface Stored {
  readonly key: string;
  readonly body: Buffer;
}

async function contents(store: Store): Promise<Stored[]> {
  const found: Stored[] = [];
  for await (const { key } of store.list('')) found.push({ key, body: (await store.get(key)).body });
  return found;
}

async function remove(store: Store, which: (key: string) => boolean): Promise<void> {
  const keys = (await contents(store)).map(({ key }) => key).filter(which);
  assert.ok(keys.length > 0, 'there was something to remove');
  for (const { error } of await store.delete(keys)) assert.equal(error, undefined);
}

/** What happens to the bucket; `yesterday` is what it held before the last commits. */
const LOSSES: Readonly<Record<string, (store: Store, yesterday: readonly Stored[]) => Promise<void>>> = {
  'everything is gone': (store) => remove(store, () => true),
  'the generation is gone, and the claim is there': (store) => remove(store, (key) => key.startsWith(GENERATIONS)),
  'the snapshots are gone': (store) => remove(store, (key) => key.includes('/snapshots/')),
  'the last segment is gone': async (store) => {
    const { id, segments } = (await loadTimeline(store)).current!;
    const last = segments.at(-1)!;
    await remove(store, (key) => key.includes(`${id}/wal/${last.index.toString(16).padStart(8, '0')}_`));
  },
  'a segment in the middle is gone': async (store) => {
    const wal = (await contents(store)).map(({ key }) => key).filter((key) => key.includes('/wal/'));
    await remove(store, (key) => key === wal[1]);
  },
  'the bucket is rolled back': async (store, yesterday) => {
    await remove(store, () => true);
    for (const { key, body } of yesterday) await store.put(key, body);
  },
};

for (const [what, lose] of Object.entries(LOSSES)) {
  const isSmall = what.startsWith('the last') || what.startsWith('the snapshots');
  for (const heartbeat of isSmall ? ['1s', '0s'] : ['1s']) {
    const how = heartbeat === '0s' ? 'before an answer' : 'within a heartbeat';
    test(`${what}: said ${how}, and the latest state is restorable again before sync() answers`, async () => {
      await using scene = new Scene();
      await scene.serve();
      const db = blobTable(scene.database, 60, 2000);
      const store = await openStore(scene.bucket);
      const shipper = await scene.ship({ heartbeat, checkpointAt: '64KiB', sealAt: '64KiB' });
      const commit = async (): Promise<void> => {
        db.exec('INSERT INTO t (b) VALUES (randomblob(3000))');
        await shipper.sync();
      };
      for (let i = 0; i < 4; i++) await commit();
      await until(() => heartbeat === '0s' || scene.events.some(({ type }) => type === 'segment'));
      const yesterday = await contents(store);
      for (let i = 0; i < 4; i++) await commit();
      await lose(store, yesterday);
      const isSaid = (): boolean =>
        scene.events.some((event) => event.type === 'lost' && event.cause === 'replica-lost');
      if (heartbeat === '1s') await until(isSaid);
      else await new Promise((resolve) => setTimeout(resolve, 10_500)); // an idle stretch: a look is due again
      await shipper.sync();
      assert.ok(isSaid(), JSON.stringify(scene.events.slice(-3)));
      assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
      await commit();
      assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
      assert.equal(scene.reasons().length, 2);
      await store.close();
      await shipper.stop();
      db.close();
    });
  }
}

test('what compaction adds and retention takes is not missed', async () => {
  await using scene = new Scene();
  await scene.serve();
  const db = blobTable(scene.database, 60, 2000);
  const store = await openStore(scene.bucket);
  const shipper = await scene.ship({ heartbeat: '1s', checkpointAt: '64KiB', sealAt: '64KiB' });
  for (let i = 0; i < 30; i++) {
    db.exec('UPDATE t SET b = randomblob(3000) WHERE id < 10');
    await shipper.sync();
  }
  const { id } = (await loadTimeline(store)).current!;
  await compact(store, { policy: 'always', now: Date.now() });
  const { snapshots } = (await loadTimeline(store)).current!;
  const newest = snapshots.at(-1)!.index;
  assert.ok(newest > 1);
  // All that the newest snapshot makes unnecessary.
  await remove(store, (key) => {
    const found = /(?:snapshots|wal)\/([0-9a-f]{8})/.exec(key);
    return found !== null && Number.parseInt(found[1]!, 16) < newest;
  });
  const beats = scene.events.length;
  await new Promise((resolve) => setTimeout(resolve, 2500));
  db.exec('UPDATE t SET b = randomblob(3000) WHERE id < 10');
  await shipper.sync();
  assert.deepEqual(scene.events.slice(beats).filter(({ type }) => type === 'lost'), []); // prettier-ignore
  assert.equal((await loadTimeline(store)).current!.id, id);
  await store.close();
  await shipper.stop();
  db.close();
});
