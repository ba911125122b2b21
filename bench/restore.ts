/**
 * How fast a restore is, compared with decoding and the disk alone, and what reading one page costs without a restore.
 */
import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import { openAt, openStore } from '../replica/index.ts';
import { choose } from '../replica/restore/choose.ts';
import { openSnapshot } from '../replica/objects/snapshot-reader.ts';
import { BlockSnapshot } from '../replica/objects/block-snapshot.ts';
import type { Store } from '../replica/store/store.ts';
import { LATEST } from '../replica/terms/target.ts';
import { loadTimeline } from '../replica/catalogue/timeline.ts';
import { writeLargeReplica } from '../test/history/large-replica.ts';
import { Seeded } from '../test/history/seeded.ts';
import { figure, ratios, type Bench, type Context, type Figure } from './figure.ts';
import { litestreamRestore, litestreams, placeOn } from './litestream.ts';
import type { RestoredOnce } from './restore-once.ts';
import { between, S3Process } from './s3.ts';

export const restores: Bench = { name: 'restore', run };

const MIB = 1 << 20;
const PAGE_SIZE = 4096;
const PER_SEGMENT = 1000;

async function* run(context: Context): AsyncGenerator<Figure> {
  process.env['AWS_ACCESS_KEY_ID'] ??= 'bench';
  process.env['AWS_SECRET_ACCESS_KEY'] ??= 'bench-secret';
  const { folder, pairs, say } = context;
  const pages = ((context.full ? 1024 : 256) * MIB) / PAGE_SIZE;
  const size = `${(pages * PAGE_SIZE) / MIB} MiB and 10 % of WAL`;
  await using server = await S3Process.start(folder);

  say(`a replica of ${size}`);
  const url = join(folder, 'replica');
  await using local = await Opened.at(url);
  await writeReplica(local.store, pages, folder);
  const rates: number[] = [];
  const decoding: number[] = [];
  const disk: number[] = [];
  const peaks: number[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    const restored = join(folder, 'restored.db');
    const { milliseconds, bytes, peak } = await once(url, restored);
    rates.push(bytes / 1000 / milliseconds);
    peaks.push(peak / MIB);
    disk.push(bytes / 1000 / (await copied(restored, join(folder, 'copy.db'))));
    decoding.push(await decodeRate(local.store));
    rmSync(restored);
  }
  const limits = rates.map((_, i) => Math.min(decoding[i]!, disk[i]!));
  yield figure('restore-rate', `restore of ${size} from a folder`, 'MB/s', rates);
  yield figure(
    'restore-decode-limit',
    `decoding the blocks of ${size} on one thread, and nothing else`,
    'MB/s',
    decoding,
  );
  yield figure('restore-disk-limit', `copying the restored file of ${size}, with fsync`, 'MB/s', disk);
  yield figure(
    'restore-per-limit',
    'restore from a folder ÷ the lower of decoding its blocks and copying the file with fsync',
    'ratio',
    ratios(rates, limits),
    { atLeast: 0.7 },
  );
  yield figure('restore-peak', `highest resident memory of a restore of ${size}`, 'MiB', peaks, { atMost: 320 });

  yield* beside(context, server, pages, size);
}

/** From the same S3 server: our restore and Litestream's of the same replica, and one page of it. */
async function* beside(
  { folder, pairs, say }: Context,
  server: S3Process,
  pages: number,
  size: string,
): AsyncGenerator<Figure> {
  say('the same on S3');
  await using remote = await Opened.at(server.url('app'));
  await writeReplica(remote.store, pages, folder);
  const path = join(folder, 'restored.db');
  const database = join(folder, 'app.db');
  const ours: number[] = [];
  const theirs = new Map(litestreams().map((litestream) => [litestream, [] as number[]]));
  for (let pair = 0; pair < pairs; pair++) {
    ours.push(await byCommand(server.url('app'), path));
    rmSync(path);
    for (const [litestream, times] of theirs) {
      times.push(await litestreamRestore(litestream, placeOn(server, 'app'), database, path));
      for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
    }
  }
  yield figure('restore-s3-ms', `restore of ${size} from S3`, 'ms', ours);
  for (const [{ name }, times] of theirs)
    yield figure(`restore-${name}-ms`, `${name} restoring ${size} from S3`, 'ms', times);
  if (theirs.size > 0) {
    const best = ours.map((_, i) => Math.min(...[...theirs.values()].map((times) => times[i]!)));
    yield figure('restore-per-litestream', 'restore from S3 ÷ the faster Litestream, whole processes; it neither checks pages nor waits for the disk', 'ratio', ratios(ours, best), { atMost: 0.5 }); // prettier-ignore
  }

  const small = server.url('page');
  await using one = await Opened.at(small);
  await writeLargeReplica(one.store, { pages, segments: [[2, 3, 5, 7]] });
  const requests: number[] = [];
  const bytes: number[] = [];
  const random = new Seeded(1);
  for (let pair = 0; pair < pairs; pair++) {
    const before = await server.counted();
    const past = await openAt(one.store, LATEST);
    await past.readPage(1 + random.int(pages));
    await past.close();
    const { GetObject, HeadObject, bytesOut } = between(before, await server.counted());
    const planning = await planRequests(server, one.store);
    requests.push(GetObject + HeadObject - planning);
    bytes.push(bytesOut);
  }
  yield figure('page-requests', 'requests for one page of a past state, with one segment of WAL, beyond listing and planning', 'requests', requests, { atMost: 4 }); // prettier-ignore
  yield figure('page-bytes', 'bytes for one page of a past state, all told', 'bytes', bytes, { atMost: 3 * MIB });
}

/** Requests that find the state: control objects and one header. */
async function planRequests(server: S3Process, store: Store): Promise<number> {
  const before = await server.counted();
  await choose(store, LATEST);
  const { GetObject, HeadObject } = between(before, await server.counted());
  return GetObject + HeadObject;
}

class Opened implements AsyncDisposable {
  readonly store: Store;

  private constructor(store: Store) {
    this.store = store;
  }

  static async at(url: string): Promise<Opened> {
    return new Opened(await openStore(url));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
  }
}

/** Random pages in segments of 4 MiB. */
async function writeReplica(store: Store, pages: number, folder: string): Promise<void> {
  const random = new Seeded(pages);
  const changed = new Set<number>();
  while (changed.size < pages / 10) changed.add(2 + random.int(pages - 1));
  const all = [...changed];
  const segments: number[][] = [];
  for (let at = 0; at < all.length; at += PER_SEGMENT) segments.push(all.slice(at, at + PER_SEGMENT));
  await writeLargeReplica(store, { pages, segments, firstPage: firstPage(pages, folder) });
}

/** Of an empty database that claims to have so many pages, which SQLite opens. */
function firstPage(pages: number, folder: string): Buffer {
  const path = join(mkdtempSync(join(folder, 'empty-')), 'empty.db');
  const database = new Database(path);
  database.pragma(`page_size = ${PAGE_SIZE}`);
  database.pragma('journal_mode = WAL');
  database.exec('CREATE TABLE t (a); DROP TABLE t; VACUUM');
  database.pragma('wal_checkpoint(TRUNCATE)');
  database.close();
  const page = readFileSync(path).subarray(0, PAGE_SIZE);
  page.writeUInt32BE(pages, 28);
  page.copy(page, 92, 24, 28); // "version valid for": the size counts
  return page;
}

async function once(url: string, path: string): Promise<RestoredOnce> {
  const script = join(import.meta.dirname, 'restore-once.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [script, url, path]);
  return JSON.parse(stdout) as RestoredOnce;
}

/** Milliseconds of the whole command, as Litestream's is timed. */
async function byCommand(url: string, path: string): Promise<number> {
  const command = join(import.meta.dirname, '../cli/seawall.js');
  const began = performance.now();
  await promisify(execFile)(process.execPath, [command, 'restore', url, '-o', path]);
  return performance.now() - began;
}

/** Milliseconds. */
async function copied(from: string, to: string): Promise<number> {
  const began = performance.now();
  copyFileSync(from, to);
  const file = await open(to, 'r+');
  await file.sync();
  await file.close();
  const milliseconds = performance.now() - began;
  rmSync(to);
  return milliseconds;
}

/** MB/s of raw bytes; only the decoding is timed. */
async function decodeRate(store: Store): Promise<number> {
  const { current } = await loadTimeline(store);
  const snapshot = await openSnapshot(store, current!.id, current!.snapshots[0]!);
  if (!(snapshot instanceof BlockSnapshot)) throw new Error('not a snapshot of ours');
  let bytes = 0;
  let milliseconds = 0;
  for (const { first, last } of snapshot.runs()) {
    const stored = await snapshot.stored(first, last);
    const began = performance.now();
    for (const [i, block] of stored.entries()) bytes += snapshot.decode(first + i, block).length;
    milliseconds += performance.now() - began;
  }
  return bytes / 1000 / milliseconds;
}
