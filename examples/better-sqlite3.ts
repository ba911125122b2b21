/**
 * A service on better-sqlite3 with a backup, until Ctrl-C. Kill it at any moment: everything committed is in the
 * replica.
 *
 *     node examples/better-sqlite3.ts tides.db ./bucket/tides
 */
import Database from 'better-sqlite3';
import { setTimeout as sleep } from 'node:timers/promises';
import { Shipper } from 'seawall';

const [database = 'tides.db', replica = './bucket/tides'] = process.argv.slice(2);

const shipper = new Shipper({ database, replica, restore: 'if-missing', syncInterval: '500ms' });
shipper.on('event', (event) => {
  if (event.type === 'segment') console.log(`shipped ${event.frames} pages, now at ${event.position}`);
  if (event.type === 'problem') console.error(event.error.message);
});
await shipper.start();

const db = new Database(database);
db.exec('CREATE TABLE IF NOT EXISTS tides (at INTEGER PRIMARY KEY, centimetres REAL NOT NULL)');
const measure = db.prepare('INSERT OR REPLACE INTO tides VALUES (?, ?)');

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    stop.abort();
  });
}
while (!stop.signal.aborted) {
  const now = Date.now();
  measure.run(now, 180 * Math.sin(now / 7000));
  await sleep(100, undefined, { signal: stop.signal }).catch(() => undefined);
}

db.close();
await shipper.stop(); // ships the rest
console.log('stopped, all shipped');
