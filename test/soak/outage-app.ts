/** An app that commits at a steady rate and times each commit: path, replica, commits a second, staging limit. */
import { createHistogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { Shipper } from '../../shipper/index.ts';

/** `measure` answers and restarts the measurement; `measure-on` answers and continues it. */
export type Asked = 'measure' | 'measure-on' | 'status' | 'sync' | 'stop';

export interface AppReport {
  readonly commits: number;
  readonly failed: number;
  /** Milliseconds of one commit since the measurement began. */
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
  readonly state: string;
  /** Bytes. */
  readonly staged: number;
  readonly memory: number;
  /** How continuity was lost, and why generations were started, each time. */
  readonly lost: readonly string[];
  readonly generations: readonly string[];
}

const ACCOUNTS = 50_000;
const [database = '', replica = '', rate = '200', stagingLimit = '1GiB'] = process.argv.slice(2);
const db = new Database(database);
db.pragma('journal_mode = WAL');
db.exec(`
  CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER, holder TEXT);
  CREATE TABLE entry (id INTEGER PRIMARY KEY, account INTEGER, amount INTEGER, at TEXT, note TEXT);
`);
const open = db.prepare('INSERT INTO account (balance, holder) VALUES (0, ?)');
db.transaction(() => {
  for (let i = 0; i < ACCOUNTS; i++) open.run(`account holder number ${i}, who lives in a street with a name`);
})();
const change = db.prepare('UPDATE account SET balance = balance + ? WHERE id = ?');
const enter = db.prepare('INSERT INTO entry (account, amount, at, note) VALUES (?, ?, ?, ?)');
const commit = db.transaction((n: number) => {
  const account = 1 + ((n * 7919) % ACCOUNTS);
  change.run(n % 1000, account);
  enter.run(account, n % 1000, new Date().toISOString(), `entry number ${n}`);
});

const lost: string[] = [];
const generations: string[] = [];
const shipper = new Shipper({ database, replica, stagingLimit });
shipper.on('lost', ({ cause }) => lost.push(cause));
shipper.on('generation', ({ reason }) => generations.push(reason));
await shipper.start();

let histogram = createHistogram();
let commits = 0;
let failed = 0;
let writing = true;

process.on('message', (asked: Asked) => {
  void answer(asked);
});
process.send?.('ready');
void write();

async function write(): Promise<void> {
  for (let n = 0, due = performance.now(); writing; n++) {
    const from = performance.now();
    try {
      commit(n);
      commits++;
    } catch {
      failed++;
    }
    histogram.record(Math.max(1, Math.round((performance.now() - from) * 1e6)));
    due += 1000 / Number(rate);
    await sleep(Math.max(0, due - performance.now()));
  }
}

async function answer(asked: Asked): Promise<void> {
  if (asked === 'sync') await shipper.sync();
  if (asked === 'stop') {
    writing = false;
    await shipper.sync();
  }
  const { state, staged, memory = 0 } = await shipper.status();
  const milliseconds = (nanoseconds: number): number => nanoseconds / 1e6;
  const report: AppReport = {
    commits,
    failed,
    p50: milliseconds(histogram.percentile(50)),
    p99: milliseconds(histogram.percentile(99)),
    longest: milliseconds(histogram.max),
    state,
    staged,
    memory,
    lost,
    generations,
  };
  if (asked === 'measure') {
    histogram = createHistogram();
    commits = 0;
    failed = 0;
  }
  if (asked === 'stop') {
    await shipper.stop();
    db.close();
  }
  process.send?.(report);
  if (asked === 'stop') process.disconnect();
}
