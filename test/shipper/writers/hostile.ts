/**
 * A process that is hard on a database: writes at full speed with default pragmas, checkpoints with TRUNCATE, vacuums,
 * rolls back, drops and makes tables, opens and closes its connection.
 *
 * Usage: hostile.ts <database> <better-sqlite3|node:sqlite> <seed> <milliseconds>
 */
import { open } from './library.ts';
import { Seeded } from '../../history/seeded.ts';

const [path = '', library = '', seed = '1', duration = '1000'] = process.argv.slice(2);
const random = new Seeded(Number(seed));
const until = Date.now() + Number(duration);
let db = await open(library, path);

const below = (n: number): number => random.int(n);
while (Date.now() < until) {
  try {
    db.exec(`CREATE TABLE IF NOT EXISTS load_${seed} (id INTEGER PRIMARY KEY, body BLOB)`);
    step();
  } catch (error) {
    // Others write, too; whoever is second waits and tries again.
    if (!/busy|locked/i.test(String(error))) throw error;
    if (db.inTransaction()) db.exec('ROLLBACK');
  }
  if (below(400) === 0) {
    db.close();
    db = await open(library, path);
  }
}
db.close();

function step(): void {
  const kind = below(100);
  if (kind < 60) db.exec(`INSERT INTO load_${seed} (body) VALUES (randomblob(${below(3000)}))`);
  else if (kind < 75) db.exec(`UPDATE load_${seed} SET body = randomblob(${below(500)}) WHERE id % 97 = ${below(97)}`);
  else if (kind < 85) db.exec(`DELETE FROM load_${seed} WHERE id % 31 = ${below(31)}`);
  else if (kind < 90) {
    db.exec('BEGIN IMMEDIATE');
    for (let i = 0; i < 40; i++) db.exec(`INSERT INTO load_${seed} (body) VALUES (randomblob(4000))`);
    db.exec(random.chance(0.5) ? 'COMMIT' : 'ROLLBACK');
  } else if (kind < 95) db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  else if (kind < 97) db.exec('PRAGMA wal_checkpoint(RESTART)');
  else if (kind < 98) db.exec('VACUUM');
  else {
    db.exec(`DROP TABLE IF EXISTS side_${seed}`);
    db.exec(`CREATE TABLE side_${seed} (a, b)`);
    db.exec(`INSERT INTO side_${seed} SELECT id, length(body) FROM load_${seed} LIMIT 200`);
  }
}
