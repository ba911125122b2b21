/**
 * The ledger: a workload whose every committed state can be told from its content. Commit n raises the counter to n,
 * appends entry n, and keeps the running sum; a state is a committed one exactly when the three agree.
 */
import type { Connection } from './library.ts';

export const LEDGER_SCHEMA = `
  CREATE TABLE IF NOT EXISTS counter (one INTEGER PRIMARY KEY CHECK (one = 1), n INTEGER NOT NULL, total INTEGER NOT NULL);
  INSERT OR IGNORE INTO counter VALUES (1, 0, 0);
  CREATE TABLE IF NOT EXISTS entry (n INTEGER PRIMARY KEY, amount INTEGER NOT NULL, pad BLOB);
`;

export function append(db: Connection, n: number, pad: number): void {
  const amount = (n * 7919) % 1009;
  db.exec('BEGIN IMMEDIATE');
  db.exec(`INSERT INTO entry VALUES (${n}, ${amount}, randomblob(${pad}))`);
  db.exec(`UPDATE counter SET n = ${n}, total = total + ${amount}`);
  db.exec('COMMIT');
}

/** The number of the last commit in a ledger; throws when it is no committed state. */
export function committedIn(db: Connection): number {
  const [counter] = db.all('SELECT n, total FROM counter');
  const [entries] = db.all('SELECT count(*) AS count, max(n) AS last, sum(amount) AS total FROM entry');
  const n = counter?.['n'];
  if (typeof n !== 'number' || entries === undefined) throw new Error('no ledger');
  const agrees =
    entries['count'] === n && (entries['last'] ?? 0) === n && (entries['total'] ?? 0) === counter?.['total'];
  if (!agrees) throw new Error(`not a committed state: ${JSON.stringify({ counter, entries })}`);
  return n;
}
