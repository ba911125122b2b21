/** Databases that cannot be shipped without harm are refused by name, and none of their files is touched. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync, closeSync } from 'node:fs';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { walSum } from '../../replica/wal/checksum.ts';
import { SeawallError } from '../../shipper/index.ts';
import { Scene } from '../shipper/scene.ts';

const refusedAs =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof SeawallError && error.code === code;

/** A database with so many reserved bytes in each page, as SQLITE_FCNTL_RESERVE_BYTES and VACUUM make it. */
function withReservedBytes(path: string, reserved: number): void {
  const db = new Database(path);
  db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)');
  db.close();
  const bytes = readFileSync(path);
  // Page 2 is an empty leaf, and so is the schema's page but for one row at its end, which moves out of the way.
  const pageSize = bytes.readUInt16BE(16);
  bytes[20] = reserved;
  const content = bytes.readUInt16BE(105);
  bytes.copyWithin(content - reserved, content, pageSize);
  bytes.fill(0, pageSize - reserved, pageSize);
  bytes.writeUInt16BE(content - reserved, 105);
  bytes.writeUInt16BE(bytes.readUInt16BE(108) - reserved, 108);
  bytes.writeUInt16BE(pageSize - reserved, pageSize + 5);
  writeFileSync(path, bytes);
}

test('a database of the checksum VFS is refused; one with reserved bytes for another reason is shipped', async () => {
  await using scene = new Scene();
  withReservedBytes(scene.database, 8);
  const db = new Database(scene.database);
  assert.equal(db.pragma('integrity_check', { simple: true }), 'ok');
  db.pragma('journal_mode = WAL');
  db.close();
  const shipper = await scene.ship();
  await shipper.sync();
  await shipper.stop();
  const bytes = readFileSync(scene.database);
  const pageSize = bytes.readUInt16BE(16);
  const { s1, s2 } = walSum('little', bytes.subarray(0, pageSize - 8));
  bytes.writeUInt32LE(s1, pageSize - 8);
  bytes.writeUInt32LE(s2, pageSize - 4);
  writeFileSync(scene.database, bytes);
  await assert.rejects(scene.ship(), refusedAs('DATABASE_TRANSFORMED'));
  assert.deepEqual(readFileSync(scene.database), bytes);
});

test('a database that is a mount point of its own is refused: its WAL lies in another folder than the app’s', async (t) => {
  await using scene = new Scene();
  const other = `${scene.folder}/other`;
  mkdirSync(other);
  const db = new Database(`${other}/app.db`);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE t (id)');
  closeSync(openSync(scene.database, 'w'));
  const mounted = spawnSync('mount', ['--bind', `${other}/app.db`, scene.database], { encoding: 'utf8' });
  if (mounted.status !== 0) {
    t.skip(`needs the right to mount: ${mounted.error?.message ?? mounted.stderr.trim()}`);
    db.close();
    return;
  }
  try {
    await assert.rejects(scene.ship(), refusedAs('DATABASE_MOUNTED'));
    assert.ok(!existsSync(`${scene.database}-wal`));
  } finally {
    spawnSync('umount', ['-l', scene.database]);
    db.close();
  }
});

test('a file that is copied over the database slowly, and stands still for moments, is shipped only as a whole', async () => {
  await using scene = new Scene();
  const rows = (path: string, from: number): void => {
    const db = new Database(path);
    db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)');
    const insert = db.prepare('INSERT INTO t VALUES (?, randomblob(3000))');
    db.transaction(() => {
      for (let id = from; id < from + 4000; id++) insert.run(id);
    })();
    db.pragma('journal_mode = WAL');
    db.close();
  };
  rows(scene.database, 1);
  rows(`${scene.folder}/seed.db`, 10_001);
  const shipper = await scene.ship();
  await shipper.sync();
  const seed = readFileSync(`${scene.folder}/seed.db`);
  const fd = openSync(scene.database, 'w');
  const piece = Math.ceil(seed.length / 8);
  for (let at = 0; at < seed.length; at += piece) {
    writeSync(fd, seed, at, Math.min(piece, seed.length - at));
    // Longer than a file stands still that is taken for whole: what it lacks is known from its header.
    await new Promise((resolve) => setTimeout(resolve, at === 2 * piece ? 2500 : 150));
  }
  closeSync(fd);
  const caught = async (): Promise<boolean> => {
    await shipper.sync();
    const db = new Database((await scene.restore()).path, { readonly: true });
    try {
      assert.equal(db.pragma('integrity_check', { simple: true }), 'ok');
      return db.prepare('SELECT min(id) FROM t').pluck().get() === 10_001;
    } finally {
      db.close();
    }
  };
  while (!(await caught())) await new Promise((resolve) => setTimeout(resolve, 200));
  assert.ok(scene.events.some((event) => event.type === 'lost' && event.cause === 'database-changed'));
  await shipper.stop();
});
