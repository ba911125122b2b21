/**
 * A long outage of the store under a steadily writing app: what it costs the app, what it costs the disk, and whether
 * everything is in the bucket afterwards. An equal app with a helper and a store of its own, which stays healthy, runs
 * beside it: what slows both is the machine, and is taken out of the figure that is judged.
 *
 *   node test/soak/outage.ts [--minutes 60] [--rate 200] [--staging 1GiB] [--before 2] [--folder /tmp]
 *
 * `--minutes`: of the outage; `--before`: of measuring before it. The app, its helper and the store are processes of
 * their own. Prints two lines for every tenth of the outage and a report; exit code 1 when a bound was passed.
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
import { restore } from '../../replica/restore/restore.ts';
import { openStore } from '../../replica/store/open.ts';
import { formatSize, parseSize } from '../../replica/terms/units.ts';
import { assertSameBytes } from '../history/same-bytes.ts';
import type { AppReport, Asked } from './outage-app.ts';

process.env['AWS_ACCESS_KEY_ID'] ??= 'test';
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'test';

/** The p99 of a commit during the outage against before may be this many times what it is for the control. */
const MOST_SLOWER = 1.2;
/** WAL on disk: some indexes of `sealAt`, whatever the outage does. */
const MOST_WAL = 64 << 20;

interface Side {
  readonly database: string;
  readonly replica: string;
  readonly store: ChildProcess;
  ask(what: Asked): Promise<AppReport>;
}

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
const children: ChildProcess[] = [];

try {
  const [cut, control] = await Promise.all([startSide('cut'), startSide('control')]);
  const measure = async (what: Asked, phase: string): Promise<[AppReport, AppReport]> => {
    const both = await Promise.all([cut.ask(what), control.ask(what)]);
    if (phase !== '') both.forEach((report, side) => { say(`${phase}${side === 0 ? '' : ' (control)'}`, report); }); // prettier-ignore
    return both;
  };

  await sleep(5000); // the first snapshot and the first second of writing are not what is measured
  await measure('measure', '');
  await sleep(Number(values.before) * 60_000);
  const [before, controlBefore] = await measure('measure', 'before');

  await request(cut.store, 'pause');
  await measure('measure', '');
  const most = { wal: 0, staged: 0, memory: 0 };
  for (let phase = 0; phase < 10; phase++) {
    const until = performance.now() + outage / 10;
    while (performance.now() < until) {
      await sleep(Math.min(1000, until - performance.now()));
      const { staged, memory } = await cut.ask('status');
      await control.ask('status');
      most.wal = Math.max(most.wal, statSync(`${cut.database}-wal`).size);
      most.staged = Math.max(most.staged, staged);
      most.memory = Math.max(most.memory, memory);
    }
    await measure('measure-on', `outage, ${(phase + 1) * 10} %`);
  }
  const [during, controlDuring] = await measure('measure', 'outage, in all');

  await request(cut.store, 'resume');
  const from = performance.now();
  await cut.ask('sync');
  const recovered = performance.now() - from;
  const [after, controlAfter] = await measure('stop', 'recovery');
  for (const side of [cut, control]) await assertRestored(side);

  const slower = during.p99 / before.p99;
  const noise = controlDuring.p99 / controlBefore.p99;
  const ratio = slower / noise;
  console.log(
    [
      `commits: ${before.commits} before, ${during.commits} in ${values.minutes} minutes of outage, ${during.failed} failed`,
      `p99 of a commit: ${before.p99.toFixed(2)} ms before, ${during.p99.toFixed(2)} ms during: ratio ${slower.toFixed(2)}`,
      `p99 of the control: ${controlBefore.p99.toFixed(2)} ms before, ${controlDuring.p99.toFixed(2)} ms during: ratio ${noise.toFixed(2)}`,
      `the outage made commits ${ratio.toFixed(2)} times as slow`,
      `most staged ${formatSize(most.staged)}, most WAL ${formatSize(most.wal)}, most memory of the helper ${formatSize(most.memory)}`,
      `all in the bucket ${(recovered / 1000).toFixed(1)} s after the store was back`,
      `lost: ${after.lost.join() || 'nothing'}; generations: ${after.generations.join()} (control: ${controlAfter.lost.join() || 'nothing'}; ${controlAfter.generations.join()})`,
      'the restored databases are identical',
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

async function startSide(name: string): Promise<Side> {
  const database = join(folder, `${name}.db`);
  const { child: store, first } = await start('outage-store.ts', join(folder, `${name}-s3`));
  const { endpoint } = first as { readonly endpoint: string };
  const replica = `s3://b/app?region=us-east-1&endpoint=${encodeURIComponent(endpoint)}`;
  const { child: app } = await start('outage-app.ts', database, replica, values.rate, values.staging);
  return { database, replica, store, ask: (what) => request(app, what) as Promise<AppReport> };
}

async function assertRestored({ database, replica }: Side): Promise<void> {
  const store = await openStore(replica);
  const restored = await restore(store, `${database}.restored`);
  await store.close();
  const live = new Database(database);
  live.pragma('wal_checkpoint(TRUNCATE)');
  live.close();
  assertSameBytes(readFileSync(restored.path), readFileSync(database));
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
