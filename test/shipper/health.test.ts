/** `health()` tells in time how fresh the backup is, and `start()` can wait for the store in the background. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { assertSameBytes } from '../history/same-bytes.ts';
import { Shipper } from '../../shipper/index.ts';
import { Scene, until } from './scene.ts';

process.env['AWS_ACCESS_KEY_ID'] ??= 'test';
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'test';

function ready(scene: Scene): Database.Database {
  const db = new Database(scene.database);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE t (b)');
  return db;
}

test('before start() and after stop() it is not well, and says why', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  const shipper = new Shipper({ database: scene.database, replica: scene.bucket });
  assert.deepEqual((await shipper.health()).reason, 'not-started');
  await shipper.start();
  await shipper.sync();
  assert.equal((await shipper.health()).ok, true);
  await shipper.stop();
  const stopped = await shipper.health();
  assert.equal(stopped.reason, 'stopped');
  assert.equal(typeof stopped.since, 'number');
  db.close();
});

test('an idle database has no lag; one whose store is away lags, since when its last commit was shipped', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = ready(scene);
  const shipper = await scene.ship({ retryMax: '100ms' });
  db.exec('INSERT INTO t VALUES (1)');
  await shipper.sync();
  assert.deepEqual(await shipper.health({ maxLag: 0 }), { ok: true, lag: 0 });
  server.pause();
  const before = Date.now();
  db.exec('INSERT INTO t VALUES (2)');
  await until(async () => !(await shipper.health({ maxLag: '400ms' })).ok);
  await until(async () => (await shipper.status()).problem !== undefined);
  const health = await shipper.health({ maxLag: '400ms' });
  assert.equal(health.reason, 'lagging');
  assert.ok(health.lag! > 400);
  assert.ok(health.since! <= Date.now() && health.since! > before - 60_000);
  assert.match(health.message!, /more than 400 ms/);
  const status = await shipper.status();
  assert.ok(status.problemSince! >= before, 'the problem began after the store went away');
  server.resume();
  await shipper.sync();
  await until(async () => (await shipper.health({ maxLag: '400ms' })).ok);
  await shipper.stop();
  db.close();
});

test('a helper that stands still is told as no-answer within a second, and health() does not wait for it', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  const shipper = await scene.ship();
  await shipper.sync();
  process.kill(shipper.pid!, 'SIGSTOP');
  try {
    const health = await shipper.health();
    assert.equal(health.reason, 'no-answer');
  } finally {
    process.kill(shipper.pid!, 'SIGCONT');
  }
  await until(async () => (await shipper.health()).ok);
  await shipper.stop();
  db.close();
});

test('a wrong maxLag is named', async () => {
  await using scene = new Scene();
  const shipper = new Shipper({ database: scene.database, replica: scene.bucket });
  await assert.rejects(shipper.health({ maxLag: 'soon' }), /maxLag/);
});

for (const how of ['refuses connections', 'never answers'] as const) {
  test(`whenUnreachable: 'retry': an app boots while the store ${how}, and everything is shipped afterwards`, async () => {
    await using scene = new Scene();
    const server = await scene.serve();
    const db = ready(scene);
    db.exec('INSERT INTO t VALUES (1)');
    if (how === 'never answers') server.faults.add({ kind: 'hang' });
    else server.pause();
    const shipper = await scene.ship({ whenUnreachable: 'retry', retryMax: '100ms' });
    db.exec('INSERT INTO t VALUES (2)');
    const health = await shipper.health();
    assert.equal(health.ok, false);
    assert.equal(health.reason, 'starting');
    assert.equal(health.lag, undefined, 'nothing is known to be in the replica');
    if (how === 'never answers') server.faults.clear();
    else server.resume();
    await shipper.sync();
    assert.equal((await shipper.health()).ok, true);
    assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
    await shipper.stop();
    db.close();
  });
}

test("whenUnreachable: 'retry' still rejects a replica that is configured wrongly", async () => {
  await using scene = new Scene();
  await scene.serve();
  const db = ready(scene);
  scene.bucket = scene.bucket.replace('s3://b/', 's3://no-such-bucket/');
  await assert.rejects(scene.ship({ whenUnreachable: 'retry' }), /bucket/);
  db.close();
});
