/** A helper that ends unasked is replaced, and what was asked of it is answered by the next. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { SeawallError } from '../../../shipper/index.ts';
import type { ShipperEvent } from '../../../shipper/protocol.ts';
import { alive, crash, Scene, until } from '../scene.ts';

process.env['AWS_ACCESS_KEY_ID'] ??= 'test';
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'test';

function ready(scene: Scene): Database.Database {
  const db = new Database(scene.database);
  db.pragma('journal_mode = WAL');
  // The page of a table that nobody writes to stays the same: without one in common no replica is gone on with.
  db.exec('CREATE TABLE t (b); CREATE TABLE still (b)');
  return db;
}

type Ended = Extract<ShipperEvent, { change: 'ended' }>;

function ends(scene: Scene): Ended[] {
  return scene.events.filter((event): event is Ended => event.type === 'helper' && event.change === 'ended');
}

function restarts(scene: Scene): number {
  return scene.events.filter((event) => event.type === 'helper' && event.change === 'restarted').length;
}

function states(scene: Scene): string[] {
  return scene.events.filter((event) => event.type === 'state').map(({ state }) => state);
}

test('sync() that waits when the helper is killed resolves once everything committed before it is in the bucket', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = ready(scene);
  const shipper = await scene.ship({ retryMax: '200ms' });
  for (let round = 0; round < 3; round++) {
    server.pause();
    for (let i = 0; i < 40; i++) db.exec('INSERT INTO t VALUES (randomblob(3000))');
    const waiting = [shipper.sync(), shipper.sync()];
    await sleep(60);
    const { pid } = shipper;
    process.kill(pid!, 'SIGKILL');
    await until(() => ends(scene).length > round);
    db.exec(`INSERT INTO t VALUES ('between')`);
    waiting.push(shipper.sync());
    server.resume();
    const [first, , last] = await Promise.all(waiting);
    assert.ok(first && last);
    assert.notEqual(shipper.pid, pid);
    assert.deepEqual(readFileSync((await scene.restore()).path), scene.image());
  }
  assert.equal(restarts(scene), 3);
  assert.deepEqual(scene.reasons(), ['new-replica'], 'the generation goes on');
  assert.ok(scene.events.some((event) => event.type === 'resumed' && event.cause === 'helper-ended'));
  await shipper.stop();
  db.close();
});

test('events and status() tell that the helper ended and how, also while there is none', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  const shipper = await scene.ship();
  process.kill(shipper.pid!, 'SIGKILL');
  await until(() => ends(scene).length === 1);
  const during = await shipper.status();
  assert.equal(during.state, 'restarting');
  assert.equal(during.problem?.code, 'HELPER_ENDED');
  assert.match(during.problem.message, /SIGKILL/);
  assert.equal(during.pid, undefined);
  const key = await shipper.snapshot();
  assert.match(key, /\.snapshot\.lz4$/);
  const after = await shipper.status();
  assert.equal(after.state, 'streaming');
  assert.equal(after.pid, shipper.pid);
  assert.deepEqual(
    states(scene).filter((state) => state !== 'snapshotting'),
    ['streaming', 'restarting', 'streaming'],
  );
  await shipper.stop();
  assert.ok(!alive(after.pid!));
  db.close();
});

test('a helper that ends again and again is restarted later and later', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  const shipper = await scene.ship();
  for (let round = 1; round <= 4; round++) {
    await until(() => shipper.pid !== undefined);
    process.kill(shipper.pid!, 'SIGKILL');
    await until(() => ends(scene).length === round);
  }
  for (const [i, { attempt, delay }] of ends(scene).entries()) {
    assert.equal(attempt, i + 1);
    assert.ok(delay >= 50 * 2 ** i && delay <= 100 * 2 ** i, `${delay} ms before attempt ${attempt}`);
  }
  db.exec('INSERT INTO t VALUES (1)');
  await shipper.sync();
  assert.deepEqual(readFileSync((await scene.restore()).path), scene.image());
  await shipper.stop();
  db.close();
});

test('a helper that stands still is not taken for dead', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  const shipper = await scene.ship();
  const { pid } = shipper;
  process.kill(pid!, 'SIGSTOP');
  db.exec('INSERT INTO t VALUES (1)');
  const synced = shipper.sync();
  await sleep(2500);
  process.kill(pid!, 'SIGCONT');
  await synced;
  assert.equal(shipper.pid, pid);
  assert.deepEqual(ends(scene), []);
  await shipper.stop();
  db.close();
});

test('stop() while the helper is restarting ships what was committed, and nothing keeps running', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  const shipper = await scene.ship();
  db.exec('INSERT INTO t VALUES (1)');
  process.kill(shipper.pid!, 'SIGKILL');
  await until(() => ends(scene).length === 1);
  await shipper.stop();
  assert.equal(scene.holder(), 0);
  assert.equal(shipper.pid, undefined);
  assert.deepEqual(readFileSync((await scene.restore()).path), scene.image());
  await assert.rejects(shipper.sync(), (error) => error instanceof SeawallError && error.code === 'NOT_STARTED');
  await shipper.start();
  await shipper.stop();
  db.close();
});

test('a shipper whose replica was taken over while it had no helper does not take it back', async () => {
  await using scene = new Scene();
  await using other = new Scene();
  await scene.serve();
  const db = ready(scene);
  other.bucket = scene.bucket;
  const otherDb = ready(other);
  const first = await scene.ship();
  process.kill(first.pid!, 'SIGSTOP');
  db.exec('INSERT INTO t VALUES (1)');
  const synced = first.sync();
  const second = await other.ship();
  process.kill(first.pid!, 'SIGKILL');
  await assert.rejects(synced, (error) => error instanceof SeawallError && error.code === 'FENCED');
  assert.equal(states(scene).at(-1), 'fenced');
  assert.equal((await first.status()).state, 'fenced');
  otherDb.exec("INSERT INTO t VALUES ('the winner')");
  await second.sync();
  assert.deepEqual(readFileSync((await other.restore()).path), other.image());
  // A fenced helper that is killed is not replaced by one that would know nothing of it.
  const before = restarts(scene);
  process.kill(first.pid!, 'SIGKILL');
  await until(() => first.pid === undefined);
  await sleep(500);
  assert.equal(first.pid, undefined);
  assert.equal(restarts(scene), before);
  assert.equal((await first.status()).state, 'fenced');
  await assert.rejects(first.sync(), (error) => error instanceof SeawallError && error.code === 'FENCED');
  await first.stop();
  await second.stop();
  db.close();
  otherDb.close();
});

test('where a new helper is refused, the shipper has failed and says why, once', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  const shipper = await scene.ship();
  process.kill(shipper.pid!, 'SIGSTOP');
  const synced = shipper.sync();
  process.kill(shipper.pid!, 'SIGKILL');
  const other = new Database(join(scene.folder, 'app.db-seawall/lock'), { timeout: 5000 });
  other.exec('BEGIN EXCLUSIVE');
  await assert.rejects(synced, /has failed: .*is being shipped by process/);
  const status = await shipper.status();
  assert.equal(status.state, 'failed');
  assert.equal(status.problem?.code, 'ALREADY_SHIPPED');
  await until(() => shipper.pid === undefined);
  other.close();
  await sleep(500);
  assert.equal(shipper.pid, undefined);
  assert.equal(ends(scene).length, 1);
  await shipper.stop();
  db.close();
});

test('a new helper waits for a database that is missing, and never restores it', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  const shipper = await scene.ship({ restore: 'if-missing' });
  db.exec('INSERT INTO t VALUES (1)');
  await shipper.sync();
  process.kill(shipper.pid!, 'SIGSTOP');
  db.close();
  const files = readdirSync(scene.folder).filter((name) => /^app\.db(-wal|-shm)?$/.test(name));
  for (const name of files) renameSync(join(scene.folder, name), join(scene.folder, `away-${name}`));
  const synced = shipper.sync();
  process.kill(shipper.pid!, 'SIGKILL');
  await until(() => states(scene).at(-1) === 'waiting');
  assert.equal((await shipper.status()).problem?.code, 'DATABASE_MISSING');
  await sleep(300);
  assert.ok(!existsSync(scene.database));
  for (const name of files) renameSync(join(scene.folder, `away-${name}`), join(scene.folder, name));
  await synced;
  assert.equal((await shipper.status()).state, 'streaming');
  assert.deepEqual(scene.reasons(), ['new-replica']);
  await shipper.stop();
});

test('an app that ends while its helper restarts leaves nothing behind', async () => {
  await using scene = new Scene();
  const app = scene.app('better-sqlite3', { syncInterval: '20ms' });
  await app.acknowledges(20);
  process.kill(app.helper, 'SIGKILL');
  await app.acknowledges(20);
  assert.deepEqual(app.failures, []);
  const { acknowledged } = app;
  await app.kill();
  await until(() => !alive(scene.holder()));
  assert.ok(acknowledged > 0);
  assert.deepEqual(readFileSync((await scene.restore()).path), scene.image());
});

test('a crash in mid-restart leaves a replica that the next shipper goes on with', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  const first = await scene.ship();
  process.kill(first.pid!, 'SIGKILL');
  await until(() => ends(scene).length === 1);
  await crash(first);
  db.exec('INSERT INTO t VALUES (1)');
  const second = await scene.ship();
  assert.deepEqual(readFileSync((await scene.restore()).path), scene.image());
  assert.deepEqual(scene.reasons(), ['new-replica']);
  await second.stop();
  db.close();
});
