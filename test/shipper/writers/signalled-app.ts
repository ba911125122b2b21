/**
 * An app that ends on signals.
 *
 * Usage: signalled-app.ts <database> <replica>; reports `ready` and `before`.
 */
import Database from 'better-sqlite3';
import { Shipper } from '../../../shipper/index.ts';

const [path = '', replica = ''] = process.argv.slice(2);
const db = new Database(path);
db.pragma('journal_mode = WAL');
db.exec('CREATE TABLE IF NOT EXISTS t (n)');
const shipper = new Shipper({ database: path, replica, syncInterval: '1h' });
await shipper.start();
await shipper.sync();
const serving = setInterval(() => undefined, 1000);
shipper.stopOnSignals({
  before: (signal) => {
    for (let n = 0; n < 300; n++) db.prepare('INSERT INTO t VALUES (?)').run(n);
    db.close();
    clearInterval(serving);
    process.send?.({ before: signal });
  },
});
process.send?.({ ready: true });
