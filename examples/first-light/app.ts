/**
 * The app: a process with a SQLite database of its own, backed up while it writes. A real app would need
 * only the lines with `shipper` in them.
 *
 *     node app.ts <database> <replica> <places>
 */
import Database from 'better-sqlite3';
import { setTimeout as sleep } from 'node:timers/promises';
import { Shipper } from 'seawall';
import { somePlaces } from './gazetteer.ts';
import type { FromApp } from './messages.ts';
import { Writer } from './writer.ts';

/** Milliseconds between two transactions, and between two acknowledgements. */
const PACE = 40;
const ACKNOWLEDGE_EVERY = 700;
/** Milliseconds without a write around the moment that an acknowledgement names. */
const QUIET = 40;

const leaveOpen = new AbortController();
process.once('message', () => {
  leaveOpen.abort(); // the parent sends no other message
});
process.once('disconnect', () => {
  process.exit(1);
});

const [database = 'app.db', replica = 'bucket', places = '50000'] = process.argv.slice(2);
const db = new Database(database);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = NORMAL');
const gazetteer = somePlaces(Number(places));
const writer = new Writer(db, gazetteer);
const loadAtFirst = Math.floor(gazetteer.length * 0.8);
for (let loaded = 0; loaded < loadAtFirst; loaded += 2000) writer.load(Math.min(2000, loadAtFirst - loaded));

// Small limits, so that half a minute shows what otherwise takes a day.
const shipper = new Shipper({ database, replica, syncInterval: '200ms', checkpointAt: '1MiB', sealAt: '4MiB' });
shipper.on('event', (event) => {
  tell({ tell: 'event', event });
});
await shipper.start();
tell({ tell: 'shipping', helper: shipper.pid!, totals: writer.totals });

let acknowledged = performance.now();
while (!leaveOpen.signal.aborted) {
  writer.work();
  tell({ tell: 'committed', totals: writer.totals });
  if (performance.now() - acknowledged >= ACKNOWLEDGE_EVERY) {
    await acknowledge();
    acknowledged = performance.now();
  }
  await sleep(PACE);
}

// Some more commits that nobody waits for, and a transaction that does not end.
for (let i = 0; i < 5; i++) writer.work();
const { totals } = writer;
const endless = writer.leaveOpen();
endless.next();
tell({ tell: 'open', totals });
for (;;) {
  await sleep(2);
  endless.next();
}

async function acknowledge(): Promise<void> {
  const { position, checksum } = await shipper.sync();
  await sleep(QUIET);
  const moment = Date.now();
  await sleep(QUIET);
  tell({ tell: 'acknowledged', acknowledgement: { position, checksum, totals: writer.totals, moment } });
}

function tell(message: FromApp): void {
  process.send?.(message);
}
