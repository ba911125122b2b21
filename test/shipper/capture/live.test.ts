import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { compact } from '../../../replica/compaction/compact.ts';
import { formatChecksum } from '../../../replica/format/page-hashes.ts';
import { snapshotKey } from '../../../replica/terms/layout.ts';
import { openStore } from '../../../replica/store/open.ts';
import type { Generation } from '../../../replica/catalogue/generation.ts';
import { loadTimeline } from '../../../replica/catalogue/timeline.ts';
import { seeds } from '../../history/seeded.ts';
import { PATIENCE, Scene, until } from '../scene.ts';
import { append, committedIn, LEDGER_SCHEMA } from '../writers/ledger.ts';
import { open } from '../writers/library.ts';
import { assertSameBytes } from '../../history/same-bytes.ts';

const [SEED = 1] = seeds(1, 1 + Math.floor(Math.random() * 1e6));
const RERUN = `rerun: SEED=${SEED} node --test test/shipper/capture/live.test.ts`;

function ready(scene: Scene, pageSize = 4096): Database.Database {
  const db = new Database(scene.database);
  db.pragma(`page_size = ${pageSize}`);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE start (a)');
  return db;
}

async function current(scene: Scene): Promise<Generation> {
  return (await loadTimeline(await openStore(scene.bucket))).current!;
}

test('processes that write at full speed, checkpoint with TRUNCATE, vacuum, open and close lose nothing to the pin', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  const shipper = await scene.ship({ syncInterval: '50ms' });
  const writers = [
    scene.writer('hostile.ts', 'better-sqlite3', String(SEED), '6000'),
    scene.writer('hostile.ts', 'node:sqlite', String(SEED + 1), '6000'),
  ];
  for (const code of await Promise.all(writers.map((writer) => once(writer, 'exit')))) assert.equal(code[0], 0, RERUN);
  const synced = await shipper.sync();
  const restored = await scene.restore();
  assertSameBytes(readFileSync(restored.path), scene.image(), RERUN);
  assert.equal(formatChecksum(restored.checksum), synced.checksum);
  assert.deepEqual(scene.reasons(), ['new-replica'], `continuity was kept; ${RERUN}`);
  assert.ok((await current(scene)).segments.at(-1)!.index > 1, 'the WAL was restarted on the way');
  await shipper.stop();
  db.close();
});

for (const pageSize of [512, 65536]) {
  test(`page size ${pageSize}: shipped under load, compacted, restored identical`, async () => {
    await using scene = new Scene();
    const db = ready(scene, pageSize);
    const shipper = await scene.ship({ checkpointAt: '128KiB', sealAt: '256KiB', segmentSize: '128KiB' });
    const writer = scene.writer('hostile.ts', 'better-sqlite3', String(SEED), '2500');
    assert.equal((await once(writer, 'exit'))[0], 0, RERUN);
    // The writer may be done before an index is; a few more commits in peace end one.
    await until(async () => {
      db.exec('INSERT INTO start VALUES (randomblob(200000))');
      await shipper.sync();
      return (await current(scene)).segments.at(-1)!.index > 0;
    });
    await shipper.sync();
    const outcome = await compact(await openStore(scene.bucket), { policy: 'always', now: Date.now() });
    assert.equal(outcome.kind, 'compacted', `${'why' in outcome ? outcome.why : ''}; ${RERUN}`);
    assertSameBytes(readFileSync((await scene.restore()).path), scene.image(), RERUN);
    await shipper.stop();
    db.close();
  });
}

test('the schema and the data are untouched by shipping, and a shrink of the WAL changes nothing', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  db.pragma('user_version = 41');
  const schema = (): unknown => db.prepare('SELECT * FROM sqlite_schema').all();
  const before = schema();
  const shipper = await scene.ship({ shrinkAt: '1MiB', checkpointAt: '64KiB', sealAt: '1MiB' });
  db.exec('CREATE TABLE big (b)');
  for (let i = 0; i < 600; i++) db.exec('INSERT INTO big VALUES (randomblob(9000))');
  await shipper.sync();
  // The WAL file is cut once an index has ended and the app goes on.
  await until(() => {
    db.exec('INSERT INTO big VALUES (1)');
    return statSync(`${scene.database}-wal`).size < 1 << 20;
  });
  db.exec('DROP TABLE big');
  await shipper.stop();
  assert.deepEqual(schema(), before);
  assert.equal(db.pragma('user_version', { simple: true }), 41);
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
  db.close();
});

test('what is in the file when the shipper has stopped is in the replica, also where the WAL was overgrown', async () => {
  await using scene = new Scene();
  const db = new Database(scene.database);
  db.pragma('journal_mode = WAL');
  db.pragma('wal_autocheckpoint = 0');
  db.exec('CREATE TABLE t (b)');
  for (let round = 0; round < 5; round++) {
    const shipper = await scene.ship({ shrinkAt: '1MiB', checkpointAt: '64KiB', sealAt: '1MiB' });
    // It stops with the end of an index, after which it would shrink the WAL by a commit of its own.
    db.exec('INSERT INTO t VALUES (randomblob(1500000))');
    await shipper.stop();
    assert.deepEqual(readFileSync((await scene.restore()).path), scene.image());
  }
  assert.deepEqual(scene.reasons().length, 1);
  db.close();
});

test('a transaction larger than many segments is cut, and nothing of it is shipped before it commits', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  db.pragma('cache_size = 20');
  const shipper = await scene.ship({ segmentSize: '64KiB' });
  db.exec('BEGIN; CREATE TABLE big (b)');
  for (let i = 0; i < 800; i++) db.exec('INSERT INTO big VALUES (randomblob(3000))');
  await sleep(150);
  assert.ok(readFileSync(`${scene.database}-wal`).length > 1 << 20, 'the open transaction has spilled into the WAL');
  assert.equal((await current(scene)).segments.length, 0);
  db.exec('COMMIT');
  await shipper.sync();
  assert.ok((await current(scene)).segments.length > 20);
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
  await shipper.stop();
  db.close();
});

test('sync() covers commits of other processes and libraries, made before the call', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  db.exec(LEDGER_SCHEMA);
  const shipper = await scene.ship({ syncInterval: '1h' });
  for (const library of ['better-sqlite3', 'node:sqlite']) {
    const other = await open(library, scene.database);
    for (let i = 0; i < 5; i++) {
      const n = committedIn(other) + 1;
      append(other, n, 100);
      await shipper.sync();
      const back = await open('better-sqlite3', (await scene.restore()).path);
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
  const db = ready(scene);
  const shipper = await scene.ship();
  const writer = scene.writer('hostile.ts', 'node:sqlite', String(SEED), '3000');
  const keys: string[] = [];
  // How many there are depends on how often the writer lets an index end; with the last one there are two at least.
  while (writer.exitCode === null) {
    keys.push(await shipper.snapshot());
    await sleep(300);
  }
  db.exec('INSERT INTO start VALUES (1)');
  keys.push(await shipper.snapshot());
  await shipper.sync();
  const generation = await current(scene);
  // The first call may come before the first commit, and then names the snapshot the generation began with.
  const first = snapshotKey(generation.id, 0, 'lz4');
  assert.equal(generation.snapshots.length, new Set([first, ...keys]).size);
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image(), RERUN);
  assert.deepEqual(scene.reasons(), ['new-replica'], RERUN);
  await shipper.stop();
  db.close();
});

test('a snapshot that waits for a long reader of the app holds no shipping up', { timeout: PATIENCE }, async () => {
  await using scene = new Scene();
  const db = ready(scene);
  db.exec('CREATE TABLE t (b)');
  const shipper = await scene.ship({ segmentSize: '64KiB', stagingLimit: '8MiB' });
  const reader = new Database(scene.database);
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM t').get();
  db.exec('INSERT INTO t VALUES (randomblob(3000))');
  const snapshot = shipper.snapshot();
  await until(() => scene.events.some(({ type }) => type === 'blocked'));
  for (let i = 0; i < 2000; i++) {
    db.exec('INSERT INTO t VALUES (randomblob(3000))');
    if (i % 20 === 0) await sleep(20);
  }
  await shipper.sync();
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
  reader.close();
  assert.match(await snapshot, /snapshots/);
  assert.deepEqual(
    scene.events.filter(({ type }) => type === 'lost'),
    [],
  );
  await shipper.stop();
  db.close();
});

test('a long reader of the app keeps the WAL, not the shipping, from going on', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  const shipper = await scene.ship({ checkpointAt: '64KiB', sealAt: '128KiB' });
  db.exec('CREATE TABLE t (b)');
  const reader = new Database(scene.database);
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM t').get();
  for (let i = 0; i < 400; i++) {
    db.exec('INSERT INTO t VALUES (randomblob(3000))');
    if (i % 50 === 0) await sleep(60);
  }
  await shipper.sync();
  // A try to end the index meets whatever is in its way at that moment, an automatic checkpoint of the app too.
  await until(async () => (await shipper.status()).blockedBy === 'reader');
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
  reader.exec('COMMIT');
  reader.close();
  await until(async () => (await shipper.status()).blockedBy === undefined);
  db.exec('INSERT INTO t VALUES (1)');
  await shipper.sync();
  const status = await shipper.status();
  assert.equal(status.blockedBy, undefined);
  assert.ok(Number.parseInt(status.position!.slice(17, 25), 16) >= 1, 'the index was ended once the reader was gone');
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
  await shipper.stop();
  db.close();
});
