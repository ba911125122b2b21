/**
 * What idle databases cost: memory, processor time and requests of one helper that ships 1, 100 and 1,000 of them.
 *
 *     node bench/many-databases.ts [--databases 1,100,1000] [--seconds 30] [--json]
 *
 * Linux only: the helper's figures come from /proc.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import Database from 'better-sqlite3';
import { Fleet } from 'seawall';
import { startS3Server, type RequestCounters } from '../test/s3-server/index.ts';

/** Until connections that are not needed are closed, milliseconds. */
const SETTLING = 12_000;
const TICKS_PER_SECOND = 100;
const STARTED_AT_A_TIME = 16;

interface Figures {
  readonly databases: number;
  /** Seconds until all were safe in the bucket. */
  readonly start: number;
  /** Of the helper, MiB: at rest, and at most until then. */
  readonly memory: number;
  readonly memoryPeak: number;
  /** Of the helper at rest, percent of one core. */
  readonly processor: number;
  /** To the bucket while at rest. The heartbeat is off. */
  readonly requests: number;
  readonly openFiles: number;
  /** Milliseconds from a commit in one of them, at rest until then, until sync() says that it is in the bucket. */
  readonly commitToBucket: number;
}

const { values } = parseArgs({
  options: {
    databases: { type: 'string', default: '1,100,1000' },
    seconds: { type: 'string', default: '30' },
    json: { type: 'boolean', default: false },
  },
});

process.env['AWS_ACCESS_KEY_ID'] ??= 'bench';
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'bench';

const measured: Figures[] = [];
for (const count of values.databases.split(',').map(Number)) {
  const figures = await measure(count, Number(values.seconds));
  measured.push(figures);
  if (!values.json) console.log(figures);
}
if (values.json) console.log(JSON.stringify({ bench: 'many-databases', node: process.version, measured }));

async function measure(count: number, seconds: number): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), 'seawall-bench-'));
  const server = await startS3Server({ buckets: ['b'] });
  const fleet = new Fleet({ heartbeat: 0 });
  try {
    const paths = Array.from({ length: count }, (_, i) => join(folder, `${i}.db`));
    for (const path of paths) makeDatabase(path);
    const from = performance.now();
    const next = paths.entries();
    await Promise.all(
      Array.from({ length: STARTED_AT_A_TIME }, async () => {
        for (const [i, database] of next) {
          const replica = `s3://b/${i}?region=us-east-1&endpoint=${encodeURIComponent(server.endpoint)}`;
          await fleet.add({ database, replica });
        }
      }),
    );
    const start = (performance.now() - from) / 1000;
    await sleep(SETTLING);
    const pid = fleet.pid!;
    const requests = arrived(server.requests);
    const ticks = processorTicks(pid);
    await sleep(seconds * 1000);
    const processor = ((processorTicks(pid) - ticks) / TICKS_PER_SECOND / seconds) * 100;
    const atRest = {
      memory: kibibytes(pid, 'VmRSS') / 1024,
      memoryPeak: kibibytes(pid, 'VmHWM') / 1024,
      requests: arrived(server.requests) - requests,
      openFiles: readdirSync(`/proc/${pid}/fd`).length,
    };
    const db = new Database(paths[0]!);
    const committed = performance.now();
    db.exec('INSERT INTO item (text) VALUES (1)');
    await fleet.shippers[0]!.sync();
    const commitToBucket = performance.now() - committed;
    db.close();
    return rounded({ databases: count, start, ...atRest, processor, commitToBucket });
  } finally {
    await fleet.stop();
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
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

function arrived(counters: RequestCounters): number {
  return Object.entries(counters).reduce((sum, [name, value]) => (name.startsWith('bytes') ? sum : sum + value), 0);
}

function kibibytes(pid: number, field: string): number {
  const line = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line![1]);
}

/** User and system time since the start (proc_pid_stat(5), fields 14 and 15). */
function processorTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

function rounded(figures: Figures): Figures {
  return Object.fromEntries(
    Object.entries(figures).map(([name, value]) => [name, Math.round((value as number) * 10) / 10]),
  ) as unknown as Figures;
}
