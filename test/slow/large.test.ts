import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { Scene } from '../shipper/scene.ts';

const LIMIT = 256 << 20;
/** A restore holds more pages if the machine has the memory. */
const RESTORE_LIMIT = 320 << 20;

/** Highest resident memory a process has had, bytes. */
function peakOf(pid: number): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) * 1024;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Runs the built command, and watches its memory until it ends. */
async function operation(...args: string[]): Promise<{ checksum: string; peak: number; seconds: number }> {
  const from = performance.now();
  const command = join(import.meta.dirname, '../../cli/seawall.js');
  const child = spawn(process.execPath, [command, ...args, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = once(child, 'close');
  let peak = 0;
  while (child.exitCode === null && child.signalCode === null) {
    try {
      peak = Math.max(peak, peakOf(child.pid!));
    } catch {
      break; // it ended between the two looks
    }
    await sleep(20);
  }
  await ended;
  assert.equal(child.exitCode, 0, output);
  const { checksum } = JSON.parse(output) as { checksum: string };
  return { checksum, peak, seconds: (performance.now() - from) / 1000 };
}

test('a database past the lock-byte page: huge transaction, compaction, VACUUM that shrinks; identical, within bounded memory', async (t) => {
  await using scene = new Scene();
  const db = new Database(scene.database);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = OFF');
  db.exec('CREATE TABLE big (id INTEGER PRIMARY KEY, body BLOB)');
  const pattern = Buffer.alloc(60_000, 'a gazetteer of the sea wall; ');
  const insert = db.prepare('INSERT INTO big (body) VALUES (?)');
  const fill = (count: number): void => {
    for (let i = 0; i < count; i++) {
      pattern.writeUInt32LE(Math.trunc(Math.random() * 2 ** 31), (i * 4) % 59_000);
      insert.run(pattern);
    }
  };
  db.transaction(fill)(18_800);
  db.pragma('wal_checkpoint(TRUNCATE)');
  assert.ok(statSync(scene.database).size > 1.02 * 2 ** 30, 'past 1 GiB');

  const shipper = await scene.ship({ syncInterval: '200ms' });
  const check = async (what: string): Promise<void> => {
    const synced = await shipper.sync();
    const file = join(scene.folder, 'back.db');
    const { checksum, peak, seconds } = await operation('restore', scene.bucket, '-o', file);
    assert.equal(checksum, synced.checksum, what);
    t.diagnostic(`${what}: restored in ${seconds.toFixed(1)} s, peak ${(peak / 2 ** 20).toFixed(0)} MiB`);
    assert.ok(peak < RESTORE_LIMIT, `${what}: restore peaked at ${peak} bytes`);
    // Checkpoint what the pin allows, so that file and WAL together are what SQLite reads.
    const live = new Database(scene.database, { readonly: true });
    const back = new Database(file, { readonly: true });
    const sum = 'SELECT count(*) AS n, sum(length(body)) AS bytes, sum(id) AS ids FROM big';
    assert.deepEqual(back.prepare(sum).get(), live.prepare(sum).get());
    assert.equal(back.pragma('quick_check', { simple: true }), 'ok');
    live.close();
    back.close();
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true });
  };

  await check('first snapshot');
  db.transaction(fill)(2000); // some 120 MB in one transaction: many segments
  db.exec('UPDATE big SET body = zeroblob(50000) WHERE id % 50 = 0');
  await check('huge transaction');
  for (let i = 0; i < 3; i++) {
    fill(40);
    await shipper.sync();
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  const compacted = await operation('compact', scene.bucket, '--force');
  t.diagnostic(`compacted in ${compacted.seconds.toFixed(1)} s, peak ${(compacted.peak / 2 ** 20).toFixed(0)} MiB`);
  assert.ok(compacted.peak < LIMIT, `compaction peaked at ${compacted.peak} bytes`);
  await check('after compaction');

  db.exec('DELETE FROM big WHERE id % 3 <> 0');
  db.exec('VACUUM');
  await check('after VACUUM');
  const peak = peakOf(shipper.pid!);
  t.diagnostic(`helper peak ${(peak / 2 ** 20).toFixed(0)} MiB`);
  assert.ok(peak < LIMIT, `the helper peaked at ${peak} bytes`);

  const synced = await shipper.sync();
  await shipper.stop();
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
  const file = join(scene.folder, 'last.db');
  assert.equal((await operation('restore', scene.bucket, '-o', file)).checksum, synced.checksum);
  assert.equal(await hashOf(file), await hashOf(scene.database), 'byte for byte');
});
