/** Commits and checkpoints with TRUNCATE, again and again without a pause: path, milliseconds. */
import { open } from './library.ts';

const [path = '', milliseconds = '0'] = process.argv.slice(2);
const db = await open('node:sqlite', path);
db.exec('PRAGMA busy_timeout = 5000');
db.exec('CREATE TABLE IF NOT EXISTS truncated (b)');
const until = performance.now() + Number(milliseconds);
while (performance.now() < until) {
  db.exec('INSERT INTO truncated VALUES (randomblob(3000)); PRAGMA wal_checkpoint(TRUNCATE)');
}
db.close();
