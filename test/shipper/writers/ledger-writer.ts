/** Writes the ledger until it is killed: ledger-writer.ts <database> <better-sqlite3|node:sqlite> */
import { append, committedIn, LEDGER_SCHEMA } from './ledger.ts';
import { open } from './library.ts';

const [path = '', library = ''] = process.argv.slice(2);
const db = await open(library, path);
db.exec('PRAGMA journal_mode = WAL');
db.exec(LEDGER_SCHEMA);
for (let n = committedIn(db) + 1; ; n++) {
  append(db, n, (n * 31) % 2500);
  if (n % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
}
