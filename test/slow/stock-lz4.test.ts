/** The `lz4` command and SQLite read a bucket without any of our code. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { Scene } from '../shipper/scene.ts';
import { assertSameBytes } from '../history/same-bytes.ts';

const HAS_LZ4 = spawnSync('lz4', ['--version']).status === 0;
if (!HAS_LZ4) process.stdout.write('no lz4 command here: what stock tools make of the bucket was not checked\n');

const unpack = (path: string): Buffer => execFileSync('lz4', ['-dc', path], { maxBuffer: 1 << 30 });

test('lz4 -dc of a snapshot is the database file; of an index, joined, a WAL that SQLite replays', async () => {
  if (!HAS_LZ4) return;
  await using scene = new Scene();
  const db = new Database(scene.database);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, b)');
  for (let i = 0; i < 400; i++) db.exec('INSERT INTO t (b) VALUES (randomblob(4000))');
  const shipper = await scene.ship({ segmentSize: '256KiB' });
  for (let i = 0; i < 300; i++) db.exec(`INSERT INTO t (b) VALUES (randomblob(${i * 20}))`);
  db.exec("UPDATE t SET b = 'changed' WHERE id % 7 = 0");
  await shipper.sync();
  await shipper.snapshot();
  const middle = scene.image();
  for (let i = 0; i < 50; i++) {
    db.exec('DELETE FROM t WHERE id = ' + String(i * 3));
    await sleep(5);
  }
  await shipper.sync();
  const end = scene.image();
  await shipper.stop();
  db.close();

  const generations = join(scene.bucket, 'generations');
  const generation = join(generations, readdirSync(generations)[0]!);
  const snapshots = readdirSync(join(generation, 'snapshots')).sort();
  assert.equal(snapshots.length, 2);
  assert.deepEqual(unpack(join(generation, 'snapshots', snapshots[1]!)), middle);

  const segments = readdirSync(join(generation, 'wal')).sort();
  for (const [i, snapshot] of snapshots.entries()) {
    const folder = join(scene.folder, `stock-${i}`);
    mkdirSync(folder);
    const path = join(folder, 'db');
    writeFileSync(path, unpack(join(generation, 'snapshots', snapshot)));
    for (const index of new Set(
      segments.map((name) => name.slice(0, 8)).filter((index) => index >= snapshot.slice(0, 8)),
    )) {
      const raw = segments
        .filter((name) => name.startsWith(index))
        .map((name) => unpack(join(generation, 'wal', name)));
      writeFileSync(`${path}-wal`, Buffer.concat(raw));
      const stock = new Database(path);
      assert.equal(stock.pragma('integrity_check', { simple: true }), 'ok');
      stock.pragma('wal_checkpoint(TRUNCATE)');
      stock.close();
    }
    assertSameBytes(readFileSync(path), end, `from ${snapshot}`);
  }
});
