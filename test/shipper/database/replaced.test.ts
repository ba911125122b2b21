/** Another file takes the database's place, or the file is changed past SQLite, while it is shipped. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { restore } from '../../../replica/restore/restore.ts';
import { openStore } from '../../../replica/store/open.ts';
import { parseTarget } from '../../../replica/terms/target.ts';
import type { Shipper } from '../../../shipper/index.ts';
import { assertSameBytes } from '../../history/same-bytes.ts';
import { blobTable } from '../blob-table.ts';
import { PATIENCE, Scene, until } from '../scene.ts';

const ready = (path: string, rows = 300): Database.Database => blobTable(path, rows);

/** A whole file of its own with the content of `db`, not in WAL mode unless asked for. */
function copyOf(scene: Scene, db: Database.Database, wal: boolean): string {
  const path = `${scene.folder}/copy.db`;
  rmSync(path, { force: true });
  db.exec(`VACUUM INTO '${path}'`);
  if (wal) {
    const copy = new Database(path);
    copy.pragma('journal_mode = WAL');
    copy.close();
  }
  return path;
}

function removeWal(scene: Scene): void {
  for (const suffix of ['-wal', '-shm']) rmSync(scene.database + suffix, { force: true });
}

const lost = (scene: Scene): string[] =>
  scene.events.filter((event) => event.type === 'lost').map(({ cause }) => cause);

async function waitsBecause(scene: Scene, shipper: Shipper, code: string): Promise<void> {
  await until(() => scene.events.some((event) => event.type === 'problem' && event.error.code === code));
  const status = await shipper.status();
  assert.equal(status.state, 'waiting');
  assert.equal(status.problem?.code, code);
}

async function identical(scene: Scene): Promise<void> {
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
}

test('a file that is swapped in is followed: the difference is shipped, and the former file’s history stays', async () => {
  await using scene = new Scene();
  let db = ready(scene.database);
  const shipper = await scene.ship({ syncInterval: '200ms' });
  const copy = copyOf(scene, db, true);
  db.exec("INSERT INTO t (b) VALUES ('the last words of the former file')");
  const before = scene.image();
  removeWal(scene);
  renameSync(copy, scene.database);
  await until(() => lost(scene).includes('database-replaced'));
  db.close();
  db = new Database(scene.database);
  db.exec("INSERT INTO t (b) VALUES ('the first of the new')");
  const { position } = await shipper.sync();
  await identical(scene);
  assert.deepEqual(scene.reasons(), ['new-replica'], 'the same generation goes on');
  const resumed = scene.events.findLast((event) => event.type === 'resumed');
  assert.equal(resumed?.cause, 'database-replaced');
  const shipped = scene.events.filter((event) => event.type === 'segment').map((event) => event.position);
  const ofFormer = shipped.find((each) => each < position)!;
  const restored = await scene.restore({ target: parseTarget(ofFormer) });
  assertSameBytes(readFileSync(restored.path), before);
  await shipper.stop();
  db.close();
});

test('a restore over the running database by force is followed, and so is a wholly different file', async () => {
  await using scene = new Scene();
  let db = ready(scene.database);
  const shipper = await scene.ship();
  const { position } = await shipper.sync();
  db.exec('DELETE FROM t');
  await shipper.sync();
  const store = await openStore(scene.bucket);
  await restore(store, scene.database, { force: true, target: parseTarget(position) });
  db.close();
  db = new Database(scene.database);
  db.exec("INSERT INTO t (b) VALUES ('after the restore')");
  await shipper.sync();
  await identical(scene);
  db.close();

  const strange = ready(`${scene.folder}/strange.db`, 900);
  strange.close();
  removeWal(scene);
  renameSync(`${scene.folder}/strange.db`, scene.database);
  db = new Database(scene.database);
  db.exec("INSERT INTO t (b) VALUES ('strange')");
  await until(() => scene.reasons().length > 1);
  await shipper.sync();
  assert.deepEqual(scene.reasons(), ['new-replica', 'mostly-different']);
  await identical(scene);
  await shipper.stop();
  db.close();
});

test('a database of another page size in its place gets a generation of its own', async () => {
  await using scene = new Scene();
  let db = ready(scene.database);
  const shipper = await scene.ship();
  await shipper.sync();
  const copy = `${scene.folder}/copy.db`;
  db.exec(`PRAGMA page_size = 8192; VACUUM INTO '${copy}'`);
  assert.equal(db.pragma('page_size', { simple: true }), 4096, 'a VACUUM in WAL mode keeps the page size');
  db.close();
  const other = new Database(copy);
  other.pragma('page_size = 1024');
  other.exec('VACUUM');
  other.pragma('journal_mode = WAL');
  other.close();
  removeWal(scene);
  renameSync(copy, scene.database);
  db = new Database(scene.database);
  db.exec("INSERT INTO t (b) VALUES ('small pages')");
  await until(() => scene.reasons().length > 1);
  await shipper.sync();
  assert.deepEqual(scene.reasons(), ['new-replica', 'page-size-changed']);
  await identical(scene);
  await shipper.stop();
  db.close();
});

test('a database that vanishes is waited for, by name, and followed when one is there again', async () => {
  await using scene = new Scene();
  let db = ready(scene.database);
  const shipper = await scene.ship();
  const copy = copyOf(scene, db, false);
  db.close();
  rmSync(scene.database);
  removeWal(scene);
  await waitsBecause(scene, shipper, 'DATABASE_MISSING');
  writeFileSync(scene.database, 'no database at all, but long enough to be looked at as one; '.repeat(4));
  await waitsBecause(scene, shipper, 'DATABASE_NOT_SQLITE');
  renameSync(copy, scene.database);
  await waitsBecause(scene, shipper, 'NOT_WAL');
  db = new Database(scene.database);
  db.pragma('journal_mode = WAL');
  db.exec("INSERT INTO t (b) VALUES ('back')");
  await shipper.sync();
  assert.equal((await shipper.status()).state, 'streaming');
  await identical(scene);
  await shipper.stop();
  db.close();
});

test('a shipper that is stopped while there is no database says so', async () => {
  await using scene = new Scene();
  ready(scene.database).close();
  const shipper = await scene.ship();
  rmSync(scene.database);
  removeWal(scene);
  await waitsBecause(scene, shipper, 'DATABASE_MISSING');
  await assert.rejects(shipper.stop(), /STOPPED_WAITING|no database to follow/);
});

test('a new file beside the WAL of the former one is not touched until that WAL is gone', async () => {
  await using scene = new Scene();
  let db = ready(scene.database);
  const shipper = await scene.ship();
  const copy = copyOf(scene, db, true);
  const bytes = readFileSync(copy);
  db.exec('UPDATE t SET b = randomblob(2000)');
  await shipper.sync();
  renameSync(copy, scene.database);
  await waitsBecause(scene, shipper, 'STALE_WAL');
  db.close();
  assertSameBytes(readFileSync(scene.database), bytes, 'no page of the former file was copied into the new one');
  removeWal(scene);
  db = new Database(scene.database);
  db.exec("INSERT INTO t (b) VALUES ('clean')");
  await shipper.sync();
  await identical(scene);
  await shipper.stop();
  db.close();
});

test('when WAL and shm are removed under it, nothing of the old WAL is written into the file any more', async () => {
  await using scene = new Scene();
  const db = ready(scene.database);
  const shipper = await scene.ship();
  await shipper.sync();
  db.pragma('wal_checkpoint(PASSIVE)');
  const bytes = readFileSync(scene.database);
  db.exec('UPDATE t SET b = randomblob(2000) WHERE id < 20');
  await shipper.sync();
  removeWal(scene);
  await waitsBecause(scene, shipper, 'WAL_FILES_REMOVED');
  assert.ok(lost(scene).includes('wal-files-removed'));
  assertSameBytes(readFileSync(scene.database), bytes);
  db.close(); // SQLite brings the commits of the removed WAL into the file
  await shipper.sync();
  assert.notDeepEqual(readFileSync(scene.database), bytes);
  await identical(scene);
  await shipper.stop();
});

test('the journal mode cannot be changed under a shipper: SQLite answers that the database is locked', async () => {
  await using scene = new Scene();
  const db = ready(scene.database);
  const shipper = await scene.ship();
  assert.throws(() => db.pragma('journal_mode = DELETE'), /locked/);
  db.exec("INSERT INTO t (b) VALUES ('as before')");
  await shipper.sync();
  await identical(scene);
  await shipper.stop();
  db.close();
});

test('a file that is changed past its WAL is noticed, and the difference is shipped', async () => {
  await using scene = new Scene();
  const db = ready(scene.database);
  db.exec("INSERT INTO t (b) VALUES ('a text to be changed')");
  const shipper = await scene.ship();
  await shipper.sync();
  db.pragma('wal_checkpoint(TRUNCATE)');
  const bytes = readFileSync(scene.database);
  const at = bytes.indexOf('a text to be changed');
  bytes.write('A TEXT', at);
  writeFileSync(scene.database, bytes, { flag: 'r+' });
  // The helper looks at the file every so often; the first look that is after the checkpoint finds nothing to compare with.
  let changes = 0;
  await until(() => {
    if (lost(scene).includes('database-changed')) return true;
    utimesSync(scene.database, new Date(), new Date(Date.now() + 5000 + 1000 * changes++));
    return false;
  });
  await shipper.sync();
  const restored = readFileSync((await scene.restore()).path);
  assertSameBytes(restored, bytes);
  assert.deepEqual(scene.reasons(), ['new-replica']);
  await shipper.stop();
  db.close();
});

test('snapshot() ends in good time under an app that checkpoints with TRUNCATE all the time', async () => {
  await using scene = new Scene();
  const db = ready(scene.database);
  const shipper = await scene.ship();
  const writer = scene.writer('truncator.ts', String(10 * PATIENCE));
  await until(() => lost(scene).length === 0 && existsSync(`${scene.database}-wal`));
  await sleep(500);
  for (let i = 0; i < 5; i++) {
    const from = performance.now();
    await shipper.snapshot();
    const took = performance.now() - from;
    assert.ok(took < PATIENCE, `${took} ms`);
    await sleep(200);
  }
  assert.equal(writer.exitCode, null, 'the writer was at it all the while');
  writer.kill('SIGKILL');
  await shipper.sync();
  await identical(scene);
  await shipper.stop();
  db.close();
});
