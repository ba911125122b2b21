import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { compact } from '../../replica/compact.ts';
import { formatChecksum } from '../../replica/format/page-hashes.ts';
import { openStore } from '../../replica/store/open.ts';
import { loadTimeline } from '../../replica/timeline.ts';
import { Shipper } from '../../shipper/index.ts';
import type { ShipperEvent } from '../../shipper/protocol.ts';
import { seeds } from '../history/seeded.ts';
import { Scene } from './scene.ts';
import { append, committedIn, LEDGER_SCHEMA } from './writers/ledger.ts';
import { open } from './writers/library.ts';

const [SEED = 1] = seeds(1, 1 + Math.floor(Math.random() * 1e6));

async function ready(scene: Scene, pageSize = 4096): Promise<Database.Database> {
  const db = new Database(scene.database);
  db.pragma(`page_size = ${pageSize}`);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE start (a)');
  return Promise.resolve(db);
}

test('processes that write at full speed, checkpoint with TRUNCATE, vacuum, open and close lose nothing to the pin', async () => {
  await using scene = new Scene();
  const db = await ready(scene);
  const events: ShipperEvent[] = [];
  const shipper = new Shipper({ database: scene.database, replica: scene.bucket, syncInterval: '50ms' });
  shipper.on('event', (event) => events.push(event));
  await shipper.start();
  const writers = [
    scene.writer('hostile.ts', 'better-sqlite3', String(SEED), '6000'),
    scene.writer('hostile.ts', 'node:sqlite', String(SEED + 1), '6000'),
  ];
  for (const writer of writers) assert.equal((await once(writer, 'exit'))[0], 0, `SEED=${SEED}`);
  const synced = await shipper.sync();
  const restored = await scene.restore();
  assert.deepEqual(readFileSync(restored.path), scene.image(), `SEED=${SEED}`);
  assert.equal(formatChecksum(restored.checksum), synced.checksum);
  const reasons = events.filter((event) => event.type === 'generation').map(({ reason }) => reason);
  assert.deepEqual(reasons, ['start'], `continuity was kept (SEED=${SEED})`);
  const { current } = await loadTimeline(await openStore(scene.bucket));
  assert.ok(current!.segments.at(-1)!.index > 1, 'the WAL was restarted on the way');
  await shipper.stop();
  db.close();
});

for (const pageSize of [512, 65536]) {
  test(`page size ${pageSize}: shipped under load, compacted, restored identical`, async () => {
    await using scene = new Scene();
    const db = await ready(scene, pageSize);
    const options = { checkpointAt: '128KiB', sealAt: '256KiB', segmentSize: '128KiB' };
    const shipper = new Shipper({ database: scene.database, replica: scene.bucket, syncInterval: '30ms', ...options });
    await shipper.start();
    const writer = scene.writer('hostile.ts', 'better-sqlite3', String(SEED), '2500');
    assert.equal((await once(writer, 'exit'))[0], 0);
    await shipper.sync();
    const store = await openStore(scene.bucket);
    const outcome = await compact(store, { policy: 'always', now: Date.now() });
    assert.equal(outcome.kind, 'compacted');
    const restored = await scene.restore();
    assert.deepEqual(readFileSync(restored.path), scene.image());
    await shipper.stop();
    db.close();
  });
}

test('the schema and the data are untouched by shipping, and a shrink of the WAL changes nothing', async () => {
  await using scene = new Scene();
  const db = await ready(scene);
  db.pragma('user_version = 41');
  const schema = (): unknown => db.prepare('SELECT * FROM sqlite_schema').all();
  const before = schema();
  const shipper = new Shipper({
    database: scene.database,
    replica: scene.bucket,
    shrinkAt: '1MiB',
    checkpointAt: '64KiB',
    sealAt: '1MiB',
  });
  await shipper.start();
  db.exec('CREATE TABLE big (b)');
  for (let i = 0; i < 600; i++) db.exec('INSERT INTO big VALUES (randomblob(9000))');
  await shipper.sync();
  await sleep(600);
  db.exec('INSERT INTO big VALUES (1)');
  await sleep(600);
  assert.ok(readFileSync(`${scene.database}-wal`).length < 1 << 20, 'the WAL file was cut');
  db.exec('DROP TABLE big');
  await shipper.stop();
  assert.deepEqual(schema(), before);
  assert.equal(db.pragma('user_version', { simple: true }), 41);
  const restored = await scene.restore();
  assert.deepEqual(readFileSync(restored.path), scene.image());
  db.close();
});

test('a transaction larger than many segments is cut, and restorable only as a whole', async () => {
  await using scene = new Scene();
  const db = await ready(scene);
  const shipper = new Shipper({
    database: scene.database,
    replica: scene.bucket,
    segmentSize: '64KiB',
    syncInterval: '20ms',
  });
  await shipper.start();
  db.exec('BEGIN; CREATE TABLE big (b)');
  for (let i = 0; i < 800; i++) db.exec('INSERT INTO big VALUES (randomblob(3000))');
  await sleep(150);
  const { current: during } = await loadTimeline(await openStore(scene.bucket));
  assert.equal(during!.segments.length, 0, 'nothing of an open transaction is shipped');
  db.exec('COMMIT');
  await shipper.sync();
  const { current } = await loadTimeline(await openStore(scene.bucket));
  assert.ok(current!.segments.length > 20);
  const restored = await scene.restore();
  assert.deepEqual(readFileSync(restored.path), scene.image());
  await shipper.stop();
  db.close();
});

test('sync() covers commits of other processes and libraries, made before the call', async () => {
  await using scene = new Scene();
  const db = await ready(scene);
  db.exec(LEDGER_SCHEMA);
  const shipper = new Shipper({ database: scene.database, replica: scene.bucket, syncInterval: '1h' });
  await shipper.start();
  for (const library of ['better-sqlite3', 'node:sqlite']) {
    const other = await open(library, scene.database);
    for (let i = 0; i < 5; i++) {
      const n = committedIn(other) + 1;
      append(other, n, 100);
      await shipper.sync();
      const restored = await scene.restore();
      const back = await open('better-sqlite3', restored.path);
      assert.equal(committedIn(back), n);
      back.close();
    }
    other.close();
  }
  await shipper.stop();
  db.close();
});

test('snapshot() makes a snapshot at the end of an index, from which restores go on', async () => {
  await using scene = new Scene();
  const db = await ready(scene);
  const shipper = new Shipper({ database: scene.database, replica: scene.bucket, syncInterval: '20ms' });
  await shipper.start();
  const writer = scene.writer('hostile.ts', 'node:sqlite', String(SEED), '3000');
  const keys: string[] = [];
  while (writer.exitCode === null) {
    keys.push(await shipper.snapshot());
    await sleep(300);
  }
  assert.ok(keys.length >= 3, `${keys.length} snapshots`);
  await shipper.sync();
  const { current } = await loadTimeline(await openStore(scene.bucket));
  assert.equal(current!.snapshots.length, new Set(keys).size + 1);
  assert.deepEqual(readFileSync((await scene.restore()).path), scene.image());
  await shipper.stop();
  db.close();
});

test('a long reader of the app keeps the WAL, not the shipping, from going on', async () => {
  await using scene = new Scene();
  const db = await ready(scene);
  const shipper = new Shipper({
    database: scene.database,
    replica: scene.bucket,
    syncInterval: '20ms',
    checkpointAt: '64KiB',
    sealAt: '128KiB',
  });
  await shipper.start();
  db.exec('CREATE TABLE t (b)');
  const reader = new Database(scene.database);
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM t').get();
  for (let i = 0; i < 400; i++) {
    db.exec('INSERT INTO t VALUES (randomblob(3000))');
    if (i % 50 === 0) await sleep(60);
  }
  await shipper.sync();
  assert.equal((await shipper.status()).blockedBy, 'reader');
  assert.deepEqual(readFileSync((await scene.restore()).path), scene.image());
  reader.exec('COMMIT');
  reader.close();
  await sleep(1500);
  db.exec('INSERT INTO t VALUES (1)');
  await shipper.sync();
  const status = await shipper.status();
  assert.equal(status.blockedBy, undefined);
  assert.ok(Number.parseInt(status.position!.slice(17, 25), 16) >= 1, 'the index was ended once the reader was gone');
  assert.deepEqual(readFileSync((await scene.restore()).path), scene.image());
  await shipper.stop();
  db.close();
});
