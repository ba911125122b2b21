/** The small examples run as they are written, and what they wrote comes back. */
import Database from 'better-sqlite3';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openStore, restore } from '../../replica/index.ts';
import { Shipper } from '../../shipper/index.ts';
import { Scratch } from '../history/scratch.ts';
import { until } from '../until.ts';
import { start, startExample } from './run.ts';

async function rowsRestored(replica: string, path: string, table: string): Promise<number> {
  const store = await openStore(replica);
  await restore(store, path);
  await store.close();
  return rows(path, table);
}

function rows(path: string, table: string): number {
  const db = new Database(path);
  const { count } = db.prepare(`SELECT count(*) AS count FROM ${table}`).get() as { count: number };
  db.close();
  return count;
}

test('node-sqlite.ts: notes outlive the loss of the database', async () => {
  using scratch = new Scratch();
  const run = () => startExample('node-sqlite.ts', ['notes.db', 'bucket/notes'], scratch.path).ended;
  const first = await run();
  assert.equal(first.code, 0, first.err);
  assert.match(first.out, /^3 notes\nsafe in bucket\/notes at [0-9a-f]{16}\//);
  for (const suffix of ['', '-wal', '-shm', '-seawall']) {
    rmSync(join(scratch.path, `notes.db${suffix}`), { recursive: true, force: true });
  }
  assert.match((await run()).out, /^6 notes/);
  assert.equal(await rowsRestored(join(scratch.path, 'bucket/notes'), scratch.file(), 'notes'), 6);
});

test('better-sqlite3.ts: stopped by SIGTERM, everything is shipped', async () => {
  using scratch = new Scratch();
  const running = startExample('better-sqlite3.ts', ['tides.db', 'bucket/tides'], scratch.path);
  const database = join(scratch.path, 'tides.db');
  await running.printed('shipped');
  running.kill('SIGTERM');
  const { code, out, err } = await running.ended;
  assert.equal(code, 0, err);
  assert.match(out, /stopped, all shipped\n$/);
  const written = rows(database, 'tides');
  assert.ok(written > 0);
  assert.equal(await rowsRestored(join(scratch.path, 'bucket/tides'), scratch.file(), 'tides'), written);
});

const python = spawnSync('python3', ['-c', 'import sqlite3']).status === 0;

test('python/app.py: shipped from beside it', { skip: python ? false : 'no python3 here' }, async () => {
  using scratch = new Scratch();
  const database = join(scratch.path, 'tides.db');
  const replica = join(scratch.path, 'bucket');
  const script = fileURLToPath(new URL('../../examples/python/app.py', import.meta.url));
  const app = start('python3', [script, database, '20'], scratch.path);
  await Promise.race([until(() => existsSync(`${database}-wal`)), app.ended]);
  const shipper = new Shipper({ database, replica, syncInterval: '100ms' });
  await shipper.start();
  const { code, err } = await app.ended;
  assert.equal(code, 0, err);
  await shipper.sync();
  await shipper.stop();
  assert.equal(await rowsRestored(replica, scratch.file(), 'tides'), 20);
});
