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

/** The statements of an append by whoever is next, for use inside a transaction. */
export const APPEND_NEXT = `
  UPDATE counter SET n = n + 1;
  INSERT INTO entry SELECT n, (n * 7919) % 1009, randomblob(n * 31 % 200) FROM counter;
  UPDATE counter SET total = total + (SELECT amount FROM entry WHERE entry.n = counter.n);
`;

/** The number of the last commit in a ledger; throws when it is no committed state. One statement: others may write. */
export function committedIn(db: Connection): number {
  const [state] = db.all(`
    SELECT (SELECT n FROM counter) AS n, (SELECT total FROM counter) AS total, count(*) AS entries,
      coalesce(max(n), 0) AS last, coalesce(sum(amount), 0) AS amounts FROM entry`);
  const n = state?.['n'];
  if (typeof n !== 'number') throw new Error('no ledger');
  if (state?.['entries'] !== n || state['last'] !== n || state['amounts'] !== state['total']) {
    throw new Error(`not a committed state: ${JSON.stringify(state)}`);
  }
  return n;
}
