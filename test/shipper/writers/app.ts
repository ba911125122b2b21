/**
 * An app as a user would write it: starts the shipper, writes the ledger, and tells its parent of every sync.
 *
 * Usage: app.ts <database> <replica> <better-sqlite3|node:sqlite> <options as JSON>
 */
import { Shipper, type ShipperOptions } from '../../../shipper/index.ts';
import { append, committedIn, LEDGER_SCHEMA } from './ledger.ts';
import { open } from './library.ts';

const [path = '', replica = '', library = '', more = '{}'] = process.argv.slice(2);
const db = await open(library, path);
db.exec('PRAGMA journal_mode = WAL');
db.exec(LEDGER_SCHEMA);
const shipper = new Shipper({ database: path, replica, ...(JSON.parse(more) as Partial<ShipperOptions>) });
shipper.on('event', (event) => process.send?.({ event }));
await shipper.start();
process.send?.({ helper: shipper.pid });

let n = committedIn(db);
let syncing = false;
for (;;) {
  for (let i = 0; i < 20; i++) append(db, ++n, (n * 31) % 2500);
  if (!syncing) {
    syncing = true;
    const upTo = n;
    shipper.sync().then(
      ({ position, checksum }) => {
        syncing = false;
        process.send?.({ acknowledged: upTo, position, checksum });
      },
      (error: unknown) => process.send?.({ failed: String(error) }),
    );
  }
  await new Promise((resolve) => setTimeout(resolve, 2));
}
