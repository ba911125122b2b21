/** What idle databases cost: memory, processor time and requests of one helper that ships 1, 100 and 1,000 of them. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
// The built package, as installed: run from source, the helper would also hold the type stripper.
import { Fleet } from 'seawall';
import type { RequestCounters } from '../test/s3-server/index.ts';
import { figure, type Bench, type Context, type Figure } from './figure.ts';
import { between, S3Process } from './s3.ts';

export const manyDatabases: Bench = { name: 'many-databases', run };

/** Numbers of databases, and the limit of memory for each, MiB. */
const SIZES = [
  { count: 1, memory: 90 },
  { count: 100, memory: 120 },
  { count: 1000, memory: 300 },
];
/** How long it takes until unneeded connections are closed, milliseconds. */
const SETTLING = 12_000;
const TICKS_PER_SECOND = 100;
const STARTED_AT_A_TIME = 16;

async function* run(context: Context): AsyncGenerator<Figure> {
  if (process.platform !== 'linux') {
    context.say('left out: the figures of the helper come from /proc');
    return;
  }
  process.env['AWS_ACCESS_KEY_ID'] ??= 'bench';
  process.env['AWS_SECRET_ACCESS_KEY'] ??= 'bench-secret';
  await using server = await S3Process.start(context.folder);
  for (const { count, memory } of SIZES) {
    const rest = await measure(context, server, count);
    const what = `${count} idle database${count === 1 ? '' : 's'} in one helper`;
    context.say(`${what}: ${rest.openFiles} open files, started within ${Math.round(rest.start)} s`);
    yield figure(`memory-${count}`, `memory with ${what}`, 'MiB', [rest.memory], { atMost: memory });
    yield figure(`processor-${count}`, `of one core, with ${what}`, 'percent', [rest.processor]);
    yield figure(
      `idle-requests-${count}`,
      `requests without the heartbeat, with ${what}`,
      'requests',
      [rest.requests],
      {
        atMost: 0,
      },
    );
    yield figure(`wake-${count}`, `a commit to one of ${what}, until sync()`, 'ms', [rest.commitToBucket]);
  }
}

interface Rest {
  /** Seconds until all databases were in the bucket. */
  readonly start: number;
  /** Of the helper, MiB. */
  readonly memory: number;
  /** Of the helper, percent of one core. */
  readonly processor: number;
  readonly requests: number;
  readonly openFiles: number;
  /** Milliseconds. */
  readonly commitToBucket: number;
}

async function measure(context: Context, server: S3Process, count: number): Promise<Rest> {
  const folder = mkdtempSync(join(context.folder, `${count}-`));
  await using fleet = new Fleet({ heartbeat: 0 });
  const paths = Array.from({ length: count }, (_, i) => join(folder, `${i}.db`));
  for (const path of paths) makeDatabase(path);
  const from = performance.now();
  const next = paths.entries();
  await Promise.all(
    Array.from({ length: STARTED_AT_A_TIME }, async () => {
      for (const [i, database] of next) await fleet.add({ database, replica: server.url(`${count}/${i}`) });
    }),
  );
  const start = (performance.now() - from) / 1000;
  await sleep(SETTLING);
  const seconds = context.full ? 60 : 10;
  const pid = fleet.pid!;
  const before = await server.counted();
  const ticks = processorTicks(pid);
  await sleep(seconds * 1000);
  const processor = ((processorTicks(pid) - ticks) / TICKS_PER_SECOND / seconds) * 100;
  const atRest = {
    start,
    processor,
    memory: residentMiB(pid),
    requests: total(between(before, await server.counted())),
    openFiles: readdirSync(`/proc/${pid}/fd`).length,
  };
  const db = new Database(paths[0]!);
  const committed = performance.now();
  db.exec('INSERT INTO item (text) VALUES (1)');
  await fleet.shippers[0]!.sync();
  const commitToBucket = performance.now() - committed;
  db.close();
  await fleet.stop();
  rmSync(folder, { recursive: true, force: true });
  return { ...atRest, commitToBucket };
}

function makeDatabase(path: string): void {
  const db = new Database(path);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = OFF');
  db.exec('CREATE TABLE item (id INTEGER PRIMARY KEY, text TEXT)');
  const insert = db.prepare('INSERT INTO item (text) VALUES (?)');
  db.transaction(() => {
    for (let i = 0; i < 100; i++) insert.run(`item ${i} `.repeat(20));
  })();
  db.close();
}

function total(counters: RequestCounters): number {
  return Object.entries(counters).reduce((sum, [name, n]) => (name.startsWith('bytes') ? sum : sum + n), 0);
}

function residentMiB(pid: number): number {
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kibibytes) / 1024;
}

/** User and system time since the start (proc_pid_stat(5), fields 14 and 15). */
function processorTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
