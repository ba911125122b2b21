/**
 * The app of the benchmarks: small transactions on a database with default pragmas, each one timed.
 *
 * Usage: writer.ts <options as JSON, see `Work`>, forked; tells its parent `FromWriter`.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { createHistogram } from 'node:perf_hooks';
import Database from 'better-sqlite3';
import { Shipper } from '../shipper/index.ts';

export interface Work {
  readonly database: string;
  /** Ship to this replica with default settings while writing. */
  readonly replica?: string;
  /** Milliseconds before the measurement, and of the measurement. */
  readonly warm: number;
  readonly measure: number;
  /** Transactions a second; as fast as possible without. */
  readonly rate?: number;
  /**
   * Milliseconds without transactions before the measured time begins, and before it ends: what is under way arrives.
   */
  readonly settle?: number;
}

export interface Written {
  /** Transactions in the measured time, and a second. */
  readonly commits: number;
  readonly perSecond: number;
  /** Milliseconds of one commit. */
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
  /** The same by percentile, for a plot. */
  readonly percentiles: Readonly<Record<string, number>>;
}

const PERCENTILES = [50, 75, 90, 95, 99, 99.5, 99.9] as const;

/** `begin` and `end` wait for an answer, so that the parent can look at the same moment. */
export type FromWriter = { readonly tell: 'begin' | 'end' } | { readonly tell: 'written'; readonly written: Written };

/** Rows that a table of an app would hold; compressible as such rows are. */
const CITIES = ['Amsterdam', 'Bergen', 'Cádiz', 'Dublin', 'Esbjerg', 'Faro', 'Genova', 'Hamburg', 'Iraklio', 'Jersey'];

function prepare(path: string): (n: number) => void {
  const db = new Database(path);
  db.pragma('journal_mode = WAL');
  db.exec(
    'CREATE TABLE IF NOT EXISTS visit (id INTEGER PRIMARY KEY, at TEXT, city TEXT, path TEXT, note TEXT); CREATE INDEX IF NOT EXISTS visit_city ON visit (city)',
  );
  const insert = db.prepare('INSERT INTO visit (at, city, path, note) VALUES (?, ?, ?, ?)');
  return (n) => {
    const city = CITIES[(n * 7) % CITIES.length]!;
    const at = new Date(1.7e12 + n * 1013).toISOString();
    insert.run(at, city, `/orders/${(n * 7919) % 100_003}`, `visitor ${n} from ${city} saw page ${n % 37}`);
  };
}

const [json = '{}'] = process.argv.slice(2);
const work = JSON.parse(json) as Work;
const write = prepare(work.database);
let n = 0;
for (; n < 1000; n++) write(n);
const shipper =
  work.replica === undefined ? undefined : new Shipper({ database: work.database, replica: work.replica });
await shipper?.start();

const histogram = createHistogram();
await writeFor(work.warm, () => undefined);
await sleep(work.settle ?? 0);
await tell('begin');
let commits = 0;
await writeFor(work.measure, (milliseconds) => {
  commits++;
  histogram.record(Math.max(1, Math.round(milliseconds * 1e6)));
});
await sleep(work.settle ?? 0);
await tell('end');
const written: Written = {
  commits,
  perSecond: (commits * 1000) / work.measure,
  p50: histogram.percentile(50) / 1e6,
  p99: histogram.percentile(99) / 1e6,
  longest: histogram.max / 1e6,
  percentiles: Object.fromEntries(PERCENTILES.map((p) => [p, histogram.percentile(p) / 1e6])),
};
await shipper?.stop();
process.send?.({ tell: 'written', written } satisfies FromWriter);
process.disconnect();

async function writeFor(milliseconds: number, timed: (milliseconds: number) => void): Promise<void> {
  const end = performance.now() + milliseconds;
  for (let due = performance.now(); ;) {
    const at = performance.now();
    if (at >= end) return;
    write(n++);
    timed(performance.now() - at);
    if (work.rate !== undefined) {
      due += 1000 / work.rate;
      await sleep(Math.max(0, due - performance.now()));
    } else if (n % 200 === 0) await new Promise(setImmediate);
  }
}

async function tell(moment: 'begin' | 'end'): Promise<void> {
  const answer = once(process, 'message');
  process.send?.({ tell: moment } satisfies FromWriter);
  await answer;
}
