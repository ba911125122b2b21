/** How long `sync()` takes after one commit, against one PUT of the same bytes. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { openStore } from '../replica/store/open.ts';
import { Shipper } from '../shipper/index.ts';
import { figure, median, type Bench, type Context, type Figure } from './figure.ts';
import { S3Process } from './s3.ts';

export const barrier: Bench = { name: 'barrier', run };

const TIMES = 40;

async function* run({ folder, pairs }: Context): AsyncGenerator<Figure> {
  process.env['AWS_ACCESS_KEY_ID'] ??= 'bench';
  process.env['AWS_SECRET_ACCESS_KEY'] ??= 'bench-secret';
  await using server = await S3Process.start(folder);
  const database = join(mkdtempSync(join(folder, 'barrier-')), 'app.db');
  const db = new Database(database);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, note TEXT)');
  const insert = db.prepare('INSERT INTO t (note) VALUES (?)');
  const shipper = new Shipper({ database, replica: server.url('barrier') });
  let size = 0;
  shipper.on('segment', ({ bytes }) => (size = bytes));
  await shipper.start();
  const store = await openStore(server.url('reference'));
  const syncs: number[] = [];
  const puts: number[] = [];
  try {
    for (let pair = 0; pair < pairs; pair++) {
      const some: { sync: number[]; put: number[] } = { sync: [], put: [] };
      for (let i = 0; i < TIMES; i++) {
        insert.run(`note ${pair * TIMES + i}`);
        some.sync.push(await timed(() => shipper.sync()));
        const bytes = randomBytes(size);
        some.put.push(await timed(() => store.put(`${pair}-${i}`, bytes, 'absent')));
      }
      syncs.push(median(some.sync));
      puts.push(median(some.put));
    }
  } finally {
    await shipper.stop();
    await store.close();
    db.close();
  }
  yield figure('sync-ms', 'sync() after one commit', 'ms', syncs);
  yield figure('put-ms', 'one PUT of the same bytes by the same client', 'ms', puts);
  const quotients = syncs.map((sync, i) => sync / puts[i]!);
  yield figure('sync-per-put', 'sync() after one commit ÷ one PUT of the same bytes', 'ratio', quotients, {
    atMost: 1.5,
  });
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}
