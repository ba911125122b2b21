/** What shipping costs while the app writes on and on: requests, and the length of the WAL. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { assertSameBytes } from '../../history/same-bytes.ts';
import { Scene, until } from '../scene.ts';

process.env['AWS_ACCESS_KEY_ID'] ??= 'test';
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'test';

test('commits that come all the time are uploaded once in an interval, and the WAL is kept short', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = new Database(scene.database);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT); CREATE INDEX by_body ON t (body)');
  const insert = db.prepare('INSERT INTO t (body) VALUES (?)');
  const shipper = await scene.ship({ syncInterval: '500ms' });
  const began = performance.now();
  server.resetCounters();
  let commits = 0;
  while (performance.now() - began < 4000 || commits < 800) {
    insert.run(`${(commits * 7919) % 10_007} and some more text`);
    commits++;
    await sleep(3);
  }
  const intervals = (performance.now() - began) / 500;
  // One for what was committed, one for the tail of an index that ended meanwhile; a few around the beginning.
  assert.ok(server.requests.PutObject <= 2 * intervals + 4, `${server.requests.PutObject} in ${intervals} intervals`);
  // An index ends while the app goes on.
  await until(async () => {
    insert.run('one more');
    const { position } = await shipper.sync();
    return Number.parseInt(position.split('/')[1]!, 16) >= 1;
  });
  db.close();
  await shipper.stop();
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
});
