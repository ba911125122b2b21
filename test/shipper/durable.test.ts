/** `durable()` answers with uploads that happen anyway. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { Scene } from './scene.ts';

process.env['AWS_ACCESS_KEY_ID'] ??= 'test';
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'test';

test('200 writes that wait at once cost at most one PUT an interval, and a killed machine loses none that was answered', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = new Database(scene.database);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE t (n INTEGER PRIMARY KEY)');
  const interval = 200;
  const shipper = await scene.ship({ syncInterval: interval, heartbeat: 0 });
  await shipper.sync();
  const puts = (): number => server.requests.PutObject;
  const [before, began] = [puts(), performance.now()];
  const insert = db.prepare('INSERT INTO t VALUES (?)');
  const answered: number[] = [];
  await Promise.all(
    Array.from({ length: 200 }, async (_, n) => {
      await new Promise((resolve) => setTimeout(resolve, n * 3));
      insert.run(n);
      await shipper.durable();
      answered.push(n);
    }),
  );
  const intervals = Math.ceil((performance.now() - began) / interval) + 1;
  const cost = puts() - before;
  assert.ok(cost <= intervals, `${cost} PUTs in ${intervals} intervals`);
  process.kill(shipper.pid!, 'SIGKILL');
  const restored = new Database((await scene.restore()).path, { readonly: true });
  const kept = new Set(restored.prepare('SELECT n FROM t').pluck().all());
  assert.deepEqual(
    answered.filter((n) => !kept.has(n)),
    [],
  );
  restored.close();
  db.close();
});

test('it resolves at once if nothing was committed since the last upload', async () => {
  await using scene = new Scene();
  const db = new Database(scene.database);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE t (b)');
  const shipper = await scene.ship({ syncInterval: '1h' });
  const synced = await shipper.sync();
  assert.deepEqual(await shipper.durable(), synced);
  await shipper.stop();
  await assert.rejects(shipper.durable(), { code: 'NOT_STARTED' });
  db.close();
});
