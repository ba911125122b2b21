/** seawall adopt, over a bucket in the layout of Litestream 0.3 that holds no header of ours. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { segmentKey, snapshotKey } from '../../replica/terms/layout.ts';
import { openStore } from '../../replica/store/open.ts';
import { loadTimeline } from '../../replica/catalogue/timeline.ts';
import { verify } from '../../replica/verification/verify.ts';
import { hashOf } from '../history/history.ts';
import { frame } from '../history/lz4-frame.ts';
import { blobTable } from '../shipper/blob-table.ts';
import { Scene } from '../shipper/scene.ts';
import { errorOf, seawall, seawallJson } from './seawall.ts';

const GENERATION = '0123456789abcdef';

test('a replica of Litestream 0.3 is taken over in its generation, without a new snapshot, and proven from then on', async () => {
  await using scene = new Scene();
  const db = blobTable(scene.database, 300);
  db.pragma('wal_autocheckpoint = 0');
  db.pragma('wal_checkpoint(TRUNCATE)');
  const store = await openStore(scene.bucket);
  await store.put(snapshotKey(GENERATION, 0, 'lz4'), frame(readFileSync(scene.database)));
  db.exec('UPDATE t SET b = randomblob(2000) WHERE id % 50 = 0');
  const wal = readFileSync(`${scene.database}-wal`);
  await store.put(segmentKey(GENERATION, 0, 0, 'lz4'), frame(wal, { contentChecksum: true }));
  const shipped = hashOf(scene.image());
  const before = await scene.restore();
  assert.deepEqual([before.proof, hashOf(readFileSync(before.path))], ['frames', shipped]);
  db.exec('DELETE FROM t WHERE id = 7'); // with neither

  const folder = join(scene.folder, '.app.db-litestream');
  mkdirSync(folder);
  const adopt = (exitCode: number): ReturnType<typeof seawallJson> =>
    seawallJson(['adopt', scene.database, scene.bucket], exitCode);
  assert.equal(errorOf(await adopt(1))['code'], 'LITESTREAM_FOLDER');
  rmSync(folder, { recursive: true });
  assert.equal((await adopt(0))['generation'], GENERATION);
  assert.equal(errorOf(await adopt(1))['code'], 'ALREADY_CLAIMED');

  const shipper = await scene.ship();
  db.exec("INSERT INTO t (b) VALUES ('with the shipper')");
  await shipper.sync();
  await shipper.stop();
  assert.deepEqual(scene.reasons(), [], 'no new generation');
  const { generations, current } = await loadTimeline(store);
  assert.deepEqual([generations.length, current!.id, current!.snapshots.length], [1, GENERATION, 1]);
  const after = await scene.restore();
  assert.deepEqual([after.proof, hashOf(readFileSync(after.path))], ['recorded', hashOf(scene.image())]);
  assert.deepEqual((await verify(store)).problems, []);
  db.close();
  await store.close();
});

test('where Litestream took over from a shipper, status, list and restore name both, and its generation can be adopted', async () => {
  await using scene = new Scene();
  const db = blobTable(scene.database, 300);
  const first = await scene.ship();
  await first.stop();
  db.exec('DELETE FROM t WHERE id = 7');
  const live = scene.image();
  const store = await openStore(scene.bucket);
  const { current: ours } = await loadTimeline(store);
  await store.put(snapshotKey(GENERATION, 0, 'lz4'), frame(live));

  const words = new RegExp(`generation ${GENERATION} after the last word of the shipper's, ${ours!.id}`);
  const status = await seawallJson(['status', scene.bucket], 0);
  assert.equal(status['generation'], GENERATION);
  assert.match((status['warnings'] as string[]).join(), words);
  assert.match((await seawall(['status', scene.bucket])).stdout, words);
  assert.equal((await seawallJson(['list', scene.bucket], 0))['current'], GENERATION);
  assert.match((await seawall(['list', scene.bucket])).stdout, words);
  const output = join(scene.folder, 'restored.db');
  const restored = await seawallJson(['restore', scene.bucket, '-o', output], 0);
  assert.match((restored['warnings'] as string[]).join(), words);
  assert.ok(readFileSync(output).equals(live));

  const adopted = await seawallJson(['adopt', scene.database, scene.bucket], 0);
  assert.equal(adopted['generation'], GENERATION);
  const second = await scene.ship();
  db.exec("INSERT INTO t (b) VALUES ('with the shipper')");
  await second.stop();
  assert.deepEqual(scene.reasons(), ['new-replica'], 'none but the first one');
  assert.deepEqual((await seawallJson(['status', scene.bucket], 0))['warnings'], []);
  assert.equal(hashOf(readFileSync((await scene.restore()).path)), hashOf(scene.image()));
  assert.deepEqual((await verify(store)).problems, []);
  db.close();
  await store.close();
});
