/**
 * A long outage of the store under a steadily writing app: what it costs the app, what it costs the disk, and whether
 * everything is in the bucket afterwards.
 *
 *   node test/soak/outage.ts [--minutes 60] [--rate 200] [--staging 1GiB] [--before 2] [--folder /tmp]
 *
 * `--minutes`: of the outage; `--before`: of measuring before it. The app, its helper and the store are processes of
 * their own. Prints a line for every tenth of the outage and a report; exit code 1 when a bound was passed.
 */
import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import Database from 'better-sqlite3';
import { restore } from '../../replica/restore.ts';
import { openStore } from '../../replica/store/open.ts';
import { formatSize, parseSize } from '../../replica/units.ts';
import { assertSameBytes } from '../history/same-bytes.ts';
import type { AppReport, Asked } from './outage-app.ts';

process.env['AWS_ACCESS_KEY_ID'] ??= 'test';
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'test';

/** The app's slowest commits during the outage may be slower than before by this. */
const MOST_SLOWER = 1.2;
/** WAL on disk: some indexes of `sealAt`, whatever the outage does. */
const MOST_WAL = 64 << 20;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    rate: { type: 'string', default: '200' },
    staging: { type: 'string', default: '1GiB' },
    before: { type: 'string', default: '2' },
    folder: { type: 'string', default: tmpdir() },
  },
});
const staging = parseSize(values.staging, '--staging');
const outage = Number(values.minutes) * 60_000;
const folder = mkdtempSync(join(values.folder, 'seawall-outage-'));
const database = join(folder, 'app.db');
const children: ChildProcess[] = [];

try {
  const store = await start('outage-store.ts', join(folder, 's3'));
  const { endpoint } = store.first as { readonly endpoint: string };
  const replica = `s3://b/app?region=us-east-1&endpoint=${encodeURIComponent(endpoint)}`;
  const app = await start('outage-app.ts', database, replica, values.rate, values.staging);
  const ask = (what: Asked): Promise<AppReport> => request(app.child, what) as Promise<AppReport>;

  await sleep(5000); // the first snapshot and the first second of writing are not what is measured
  await ask('measure');
  await sleep(Number(values.before) * 60_000);
  const before = await ask('measure');
  say('before', before);

  await request(store.child, 'pause');
  await ask('measure');
  const most = { wal: 0, staged: 0, memory: 0 };
  const phases: AppReport[] = [];
  for (let phase = 0; phase < 10; phase++) {
    const until = performance.now() + outage / 10;
    while (performance.now() < until) {
      await sleep(Math.min(1000, until - performance.now()));
      const { staged, memory } = await ask('status');
      most.wal = Math.max(most.wal, statSync(`${database}-wal`).size);
      most.staged = Math.max(most.staged, staged);
      most.memory = Math.max(most.memory, memory);
    }
    const report = await ask('measure-on');
    phases.push(report);
    say(`outage, ${(phase + 1) * 10} %`, report);
  }
  const during = await ask('measure');
  say('outage, in all', during);

  await request(store.child, 'resume');
  const from = performance.now();
  await ask('sync');
  const recovered = performance.now() - from;
  const after = await ask('stop');
  say('recovery', after);

  const opened = await openStore(replica);
  const restored = await restore(opened, join(folder, 'restored.db'));
  await opened.close();
  new Database(database).pragma('wal_checkpoint(TRUNCATE)');
  assertSameBytes(readFileSync(restored.path), readFileSync(database));

  const ratio = during.p99 / before.p99;
  console.log(
    [
      `commits: ${before.commits} before, ${during.commits} in ${values.minutes} minutes of outage, ${during.failed} failed`,
      `p99 of a commit: ${before.p99.toFixed(2)} ms before, ${during.p99.toFixed(2)} ms during: ratio ${ratio.toFixed(2)}`,
      `most staged ${formatSize(most.staged)}, most WAL ${formatSize(most.wal)}, most memory of the helper ${formatSize(most.memory)}`,
      `all in the bucket ${(recovered / 1000).toFixed(1)} s after the store was back; lost: ${after.lost.join() || 'nothing'}; generations: ${after.generations.join()}`,
      'the restored database is identical',
    ].join('\n'),
  );
  assert.equal(during.failed, 0, 'commits failed');
  assert.ok(most.staged <= staging + (16 << 20), `${most.staged} bytes staged`);
  assert.ok(most.wal <= MOST_WAL, `${most.wal} bytes of WAL`);
  assert.ok(ratio <= MOST_SLOWER, `commits were ${ratio.toFixed(2)} times as slow`);
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}

async function start(
  file: string,
  ...args: string[]
): Promise<{ readonly child: ChildProcess; readonly first: unknown }> {
  const child = fork(new URL(file, import.meta.url), args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  children.push(child);
  const [first] = (await once(child, 'message')) as [unknown];
  return { child, first };
}

async function request(child: ChildProcess, what: string): Promise<unknown> {
  child.send(what);
  const [answer] = (await once(child, 'message')) as [unknown];
  return answer;
}

function say(phase: string, { commits, p50, p99, longest, state, staged }: AppReport): void {
  const times = [p50, p99, longest].map((each) => each.toFixed(2)).join(' / ');
  console.log(`${phase}: ${commits} commits, p50/p99/longest ${times} ms, ${state}, ${formatSize(staged)} staged`);
}
