/** A running ship answers on its socket, serves metrics, and can be the entry point of a container. */
import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { Scratch } from '../history/scratch.ts';
import { errorOf, Running, seawall, seawallJson, type Json } from './seawall.ts';

class Scene implements Disposable {
  readonly scratch = new Scratch();
  readonly database = join(this.scratch.path, 'app.db');
  readonly bucket = join(this.scratch.path, 'bucket');
  readonly socket = join(this.scratch.path, 'app.db-seawall/control.sock');
  readonly db = new Database(this.database);

  constructor() {
    this.db.pragma('journal_mode = WAL');
    this.db.exec('CREATE TABLE t (n)');
  }

  ship(...flags: readonly string[]): Running {
    return new Running(['ship', this.database, this.bucket, '--json', '--sync-interval', '1h', ...flags]);
  }

  async restoredRows(): Promise<unknown> {
    const path = this.scratch.file();
    await seawallJson(['restore', this.bucket, '-o', path], 0);
    const db = new Database(path, { readonly: true });
    try {
      return db.prepare('SELECT count(*) FROM t').pluck().get();
    } finally {
      db.close();
    }
  }

  [Symbol.dispose](): void {
    this.db.close();
    this.scratch[Symbol.dispose]();
  }
}

interface Answered {
  readonly status: number;
  readonly text: string;
}

function ask(
  where: { socketPath: string } | { port: number; host: string },
  method: string,
  path: string,
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    request({ ...where, method, path }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.on('end', () => {
        resolve({ status: response.statusCode!, text });
      });
    })
      .on('error', reject)
      .end();
  });
}

test('seawall ctl: sync brings what was committed into the bucket, health and status tell, and nobody listens after the end', async () => {
  using scene = new Scene();
  const none = errorOf(await seawallJson(['ctl', scene.database, 'sync'], 3));
  assert.equal(none['code'], 'NOT_SHIPPING');
  await using shipping = scene.ship();
  await shipping.line(/"event":"ready"/);
  scene.db.exec('INSERT INTO t VALUES (1)');
  const synced = await seawallJson(['ctl', scene.database, 'sync'], 0);
  assert.match(String(synced['position']), /^[0-9a-f]{16}\/[0-9a-f]{8}\/[0-9a-f]{8}$/);
  assert.equal(await scene.restoredRows(), 1);
  const health = await seawallJson(['ctl', scene.database, 'health', '--max-lag', '5m'], 0);
  assert.equal(health['ok'], true);
  assert.equal((await seawallJson(['ctl', scene.database, 'status'], 0))['state'], 'streaming');
  assert.match(String((await seawallJson(['ctl', scene.database, 'snapshot'], 0))['key']), /snapshots\//);
  const words = await seawall(['ctl', scene.database, 'durable']);
  assert.match(words.stdout, /position {2}/);
  assert.equal((await seawall(['ctl', scene.database, 'now'])).code, 2);
  assert.equal(statSync(scene.socket).mode & 0o777, 0o600, 'only this user may connect');
  shipping.child.kill('SIGTERM');
  assert.equal((await shipping.ended()).code, 0);
  assert.equal(existsSync(scene.socket), false);
});

test('the socket speaks HTTP: wrong paths, methods and values are refused by name', async () => {
  using scene = new Scene();
  await using shipping = scene.ship();
  await shipping.line(/"event":"ready"/);
  const at = { socketPath: scene.socket };
  assert.equal((await ask(at, 'GET', '/nothing')).status, 404);
  assert.equal((await ask(at, 'GET', '/sync')).status, 405);
  const wrong = await ask(at, 'GET', '/health?maxLag=soon');
  assert.equal(wrong.status, 400);
  assert.match(wrong.text, /maxLag/);
  const well = await ask(at, 'GET', '/health');
  assert.equal(well.status, 200);
  assert.equal((JSON.parse(well.text) as Json)['ok'], true);
});

test('--metrics: Prometheus reads every database, each value with its type', async () => {
  using scene = new Scene();
  const port = 20_000 + (process.pid % 20_000);
  await using shipping = scene.ship('--metrics', `127.0.0.1:${port}`);
  await shipping.line(/"event":"ready"/);
  await seawallJson(['ctl', scene.database, 'sync'], 0);
  const { status, text } = await ask({ port, host: '127.0.0.1' }, 'GET', '/metrics');
  assert.equal(status, 200);
  const label = `{database="${scene.database}"}`;
  for (const line of text.trimEnd().split('\n')) {
    assert.match(line, /^(# (HELP|TYPE) seawall_\w+ .+|seawall_\w+\{database="[^"]+"(,state="\w+")?\} -?[\d.e+-]+)$/);
  }
  assert.ok(text.includes(`seawall_up${label} 1\n`));
  assert.ok(text.includes(`seawall_lag_seconds${label} 0\n`));
  assert.ok(text.includes(`seawall_state{database="${scene.database}",state="streaming"} 1\n`));
  assert.equal((await ask({ port, host: '127.0.0.1' }, 'GET', '/sync')).status, 404);
  assert.equal((await seawall(['ship', scene.database, scene.bucket, '--metrics', 'nowhere'])).code, 2);
});

test('--exec: the app starts when the database is safe, gets the signals, and everything it wrote is shipped', async () => {
  using scene = new Scene();
  const app = `
    const Database = require(${JSON.stringify(join(import.meta.dirname, '../../node_modules/better-sqlite3'))});
    const db = new Database(${JSON.stringify(scene.database)});
    process.on('SIGTERM', () => { db.exec('INSERT INTO t VALUES (2)'); db.close(); process.exit(7); });
    db.exec('INSERT INTO t VALUES (1)');
    console.log('app is up');
    setInterval(() => {}, 1000);
  `;
  const quoted = `'${app.replace(/'/g, `'\\''`)}'`;
  await using shipping = scene.ship('--exec', `${process.execPath} -e ${quoted}`);
  await shipping.line(/app is up/);
  assert.ok(shipping.stdout.indexOf('"event":"ready"') < shipping.stdout.indexOf('app is up'));
  shipping.child.kill('SIGTERM');
  assert.equal((await shipping.ended()).code, 7, 'the app’s own exit code');
  assert.equal(await scene.restoredRows(), 2);
});

test('--exec: an app that ends by itself or by a signal ends the command with its code', async () => {
  using scene = new Scene();
  const ended = await scene.ship('--exec', `${process.execPath} -e "process.exit(3)"`).ended();
  assert.equal(ended.code, 3);
  const killed = await scene.ship('--exec', `${process.execPath} -e "process.kill(process.pid, 'SIGKILL')"`).ended();
  assert.equal(killed.code, 137);
});

test('a pattern: each database has its socket, which goes with it', async () => {
  using scene = new Scene();
  await using shipping = new Running([
    'ship',
    join(scene.scratch.path, '*.db'),
    scene.bucket,
    '--json',
    '--sync-interval',
    '1h',
  ]);
  await shipping.line(/"event":"following"/);
  await shipping.line(/"event":"ready"/);
  scene.db.exec('INSERT INTO t VALUES (1)');
  await seawallJson(['ctl', scene.database, 'sync'], 0);
  shipping.child.kill('SIGTERM');
  assert.equal((await shipping.ended()).code, 0);
  assert.equal(existsSync(scene.socket), false);
});
