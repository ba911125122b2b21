/** ship follows a database that another process writes; stops, kills and failures lose nothing and say what they are. */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { shipCommand } from '../../cli/commands/ship.ts';
import { settle } from '../../shipper/options.ts';
import { Scratch } from '../history/scratch.ts';
import { until } from '../until.ts';
import { errorOf, Running, seawall, seawallJson, type Json } from './seawall.ts';
import { assertSameBytes } from '../history/same-bytes.ts';

const QUICK = ['--sync-interval', '30ms', '--json'];

/** A database in this process, a bucket, and ways to compare the two. */
class Scene implements Disposable {
  readonly scratch = new Scratch();
  readonly database = join(this.scratch.path, 'app.db');
  readonly bucket = join(this.scratch.path, 'bucket');
  readonly db: Database.Database;
  #rows = 0;

  constructor() {
    this.db = new Database(this.database);
    this.db.pragma('journal_mode = WAL');
    this.db.exec('CREATE TABLE row (id INTEGER PRIMARY KEY, text TEXT)');
  }

  /** Commits so many more rows, one transaction each. */
  write(count: number): void {
    const insert = this.db.prepare('INSERT INTO row (text) VALUES (?)');
    for (let i = 0; i < count; i++) insert.run(`row ${++this.#rows} `.repeat(40));
  }

  get rows(): number {
    return this.#rows;
  }

  ship(...flags: readonly string[]): Running {
    return new Running(['ship', this.database, this.bucket, ...QUICK, ...flags]);
  }

  /** Restores by the command; the count of rows in what came back, which must be rows 1 to n, all of them. */
  async restored(): Promise<number> {
    const path = this.scratch.file();
    await seawallJson(['restore', this.bucket, '-o', path], 0);
    const db = new Database(path);
    assert.equal(db.pragma('integrity_check', { simple: true }), 'ok');
    const [count, last] = db.prepare('SELECT count(*), coalesce(max(id), 0) FROM row').raw().get() as [number, number];
    db.close();
    assert.equal(count, last);
    return count;
  }

  /** The database as SQLite leaves it after a checkpoint. */
  image(): Buffer {
    const copy = this.scratch.file();
    copyFileSync(this.database, copy);
    if (existsSync(`${this.database}-wal`)) copyFileSync(`${this.database}-wal`, `${copy}-wal`);
    const db = new Database(copy);
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.close();
    return readFileSync(copy);
  }

  [Symbol.dispose](): void {
    this.db.close();
    this.scratch[Symbol.dispose]();
  }
}

async function ready(shipping: Running): Promise<Json> {
  return JSON.parse(await shipping.line(/"event":"ready"/)) as Json;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const gone = (pid: number): Promise<void> => until(() => !isAlive(pid));

test('every option of the shipper is a flag, and the other way round', () => {
  const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const options = Object.keys(settle({ database: 'a', replica: 'b' })).map(kebab);
  const own = new Set(['verbose', 'exec', 'metrics']); // flags of the command, not of the shipper
  const flags = [...Object.keys(shipCommand.flags), 'database', 'replica'].filter((flag) => !own.has(flag));
  assert.deepEqual(flags.sort(), options.sort());
});

test('ready, then writes, then SIGTERM: everything is shipped and restored byte for byte', async () => {
  using scene = new Scene();
  scene.write(50);
  await using shipping = scene.ship('--verbose');
  const said = await ready(shipping);
  assert.match(String(said['position']), /^[0-9a-f]{16}\/[0-9a-f]{8}\/[0-9a-f]{8}$/);
  assert.match(String(said['checksum']), /^[0-9a-f]{16}$/);
  assert.equal(await scene.restored(), 50);
  scene.write(100);
  shipping.child.kill('SIGTERM');
  const ended = await shipping.ended();
  assert.deepEqual([ended.code, ended.signal, ended.stderr], [0, null, '']);
  const events = shipping.events();
  const names = events.map(({ event }) => event);
  const expected = ['generation', 'ready', 'stopping', 'shipped', 'stopped'];
  assert.deepEqual(
    expected.filter((name) => !names.includes(name)),
    [],
  );
  assert.equal(names.at(-1), 'stopped');
  assert.equal(events.find(({ event }) => event === 'generation')!['reason'], 'new-replica');
  assert.ok(events.every(({ time }) => !Number.isNaN(Date.parse(String(time)))));
  const path = scene.scratch.file();
  const restored = await seawallJson(['restore', scene.bucket, '-o', path], 0);
  assert.equal(restored['position'], events.at(-1)!['position']);
  assert.equal(restored['proof'], 'recorded');
  assertSameBytes(readFileSync(path), scene.image());
});

test('SIGKILL of the command in mid-write: its helper ships what was committed, then ends', async () => {
  using scene = new Scene();
  await using shipping = scene.ship();
  const { pid } = await ready(shipping);
  for (let i = 0; i < 20; i++) {
    scene.write(20);
    await sleep(5);
    if (i === 12) shipping.child.kill('SIGKILL');
  }
  const atLeast = scene.rows;
  await gone(Number(pid));
  const rows = await scene.restored();
  assert.ok(rows <= scene.rows && rows >= 13 * 20, `${rows} of ${atLeast}`);
});

test('when the helper is killed, the command says so and goes on with another one', async () => {
  using scene = new Scene();
  await using shipping = scene.ship();
  const { pid } = await ready(shipping);
  process.kill(Number(pid), 'SIGKILL');
  scene.write(10);
  const ended = JSON.parse(await shipping.line(/"change":"ended"/)) as Json;
  assert.deepEqual([ended['how'], ended['attempt']], ['ended with SIGKILL', 1]);
  const restarted = JSON.parse(await shipping.line(/"change":"restarted"/)) as Json;
  assert.notEqual(restarted['pid'], pid);
  shipping.child.kill('SIGTERM');
  assert.equal((await shipping.ended()).code, 0);
  assert.equal(await scene.restored(), 10);
});

test('--restore if-missing brings the database back first; without it a missing one exits 3', async () => {
  using scene = new Scene();
  scene.write(30);
  {
    await using shipping = scene.ship();
    await ready(shipping);
    shipping.child.kill('SIGINT');
    assert.equal((await shipping.ended()).code, 0);
  }
  const place = join(scene.scratch.path, 'new');
  mkdirSync(place);
  const database = join(place, 'app.db');
  const refused = await seawall(['ship', database, scene.bucket]);
  assert.equal(refused.code, 3);
  assert.match(refused.stderr, /app\.db does not exist[^]*--restore if-missing/);
  await using again = new Running(['ship', database, scene.bucket, '--restore', 'if-missing']);
  await again.line(/^restored to [0-9a-f]{16}\//);
  assert.match(await again.line(/^ready/), /^ready: .*app\.db is safe at /);
  const db = new Database(database, { readonly: true });
  assert.equal(db.prepare('SELECT count(*) FROM row').pluck().get(), 30);
  db.close();
  again.child.kill('SIGTERM');
  const ended = await again.ended();
  assert.deepEqual([ended.code, ended.stderr], [0, '']);
  assert.match(ended.stdout, /^stopping \(SIGTERM\)[^]*^stopped: all is shipped, to /m);
});

test('a store that goes away is told as problem and recovered; a second signal ends at once', async () => {
  using scene = new Scene();
  await using shipping = scene.ship('--retry-max', '50ms', '--stop-timeout', '2s');
  const { pid } = await ready(shipping);
  const folder = join(scene.bucket, 'generations');
  const breakStore = (): void => {
    renameSync(folder, `${folder}-away`);
    writeFileSync(folder, ''); // a file where the folder must be
  };
  breakStore();
  scene.write(5);
  const problem = JSON.parse(await shipping.line(/"event":"problem"/)) as Json;
  assert.equal(typeof (problem['error'] as Json)['message'], 'string');
  rmSync(folder);
  renameSync(`${folder}-away`, folder);
  await shipping.line(/"event":"recovered"/);
  assert.equal(await scene.restored(), 5);
  breakStore();
  scene.write(5);
  shipping.child.kill('SIGTERM');
  await shipping.line(/"event":"stopping"/);
  shipping.child.kill('SIGTERM');
  const ended = await shipping.ended();
  assert.deepEqual([ended.code, ended.signal], [null, 'SIGTERM']);
  await gone(Number(pid));
});

test('values of the shipper are refused by the names of their flags', async () => {
  const wrong = async (...flags: string[]): Promise<string> =>
    String(errorOf(await seawallJson(['ship', 'a.db', 'bucket', ...flags], 2))['message']);
  assert.match(await wrong('--seal-at', '1KiB'), /^--seal-at must lie between/);
  assert.match(await wrong('--codec', 'gzip'), /^--codec must be one of lz4, zstd, not "gzip"/);
  assert.match(await wrong('--zstd-level', '99'), /^--zstd-level must lie between/);
});

test('a pattern ships every database it leads to, also those that come later, each below its name', async () => {
  using scene = new Scene();
  const folder = join(scene.scratch.path, 'tenants');
  mkdirSync(folder);
  const make = (name: string): Database.Database => {
    const db = new Database(join(folder, `${name}.db`));
    db.pragma('journal_mode = WAL');
    db.exec('CREATE TABLE row (text TEXT)');
    return db;
  };
  const first = make('first');
  writeFileSync(join(folder, 'broken.db'), 'no database');
  await using shipping = new Running(['ship', join(folder, '*.db'), scene.bucket, ...QUICK]);
  const refused = JSON.parse(await shipping.line(/"event":"refused"/)) as Json;
  assert.equal(refused['database'], join(folder, 'broken.db'));
  const following = JSON.parse(await shipping.line(/"event":"following"/)) as Json;
  assert.equal(following['databases'], 1);
  const later = make('later');
  await shipping.line(/"event":"ready".*later\.db/);
  for (const db of [first, later]) db.exec(`INSERT INTO row VALUES ('one')`);
  shipping.child.kill('SIGTERM');
  const ended = await shipping.ended();
  assert.deepEqual([ended.code, ended.stderr], [0, '']);
  for (const name of ['first', 'later']) {
    const path = scene.scratch.file();
    await seawallJson(['restore', join(scene.bucket, name), '-o', path], 0);
    const db = new Database(path, { readonly: true });
    assert.equal(db.prepare('SELECT count(*) FROM row').pluck().get(), 1);
    db.close();
  }
  first.close();
  later.close();
  const wrong = await seawallJson(['ship', join(folder, '*.db'), scene.bucket, '--state-folder', 'x'], 2);
  assert.match(String(errorOf(wrong)['message']), /--state-folder/);
});
