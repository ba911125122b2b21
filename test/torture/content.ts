/**
 * The content of a tortured database: every committed state can be told from it, and whether all of it is there.
 *
 * The ledger counts the commits. Each table's rows are tallied by triggers, and each row is a beginning of one of the
 * bodies in `ballast`, which never change and carry their SHA-256. So a page of another state shows in what it holds,
 * also where SQLite's integrity check finds nothing wrong.
 *
 * `branch` counts the times that a copy of the database took over from the original: what the copy does not hold is
 * gone by intent then.
 */
import { createHash } from 'node:crypto';
import Database from 'better-sqlite3';
import type { Seeded } from '../history/seeded.ts';
import { APPEND_NEXT, committedIn, LEDGER_SCHEMA } from '../shipper/writers/ledger.ts';

export const TABLES = 5;
const BODIES = 24;

/** A place in the database's history; ordered by branch, then by commit. */
export interface Place {
  readonly branch: number;
  readonly n: number;
}

export interface State extends Place {
  /** When the last transaction was begun, milliseconds since 1970. */
  readonly at: number;
}

export function comparePlaces(a: Place, b: Place): number {
  return a.branch - b.branch || a.n - b.n;
}

export interface DatabaseKind {
  readonly pageSize: number;
  readonly autoVacuum: 'none' | 'full' | 'incremental';
  /** Bytes of the longest body. */
  readonly longest: number;
}

const SCHEMA = `
  CREATE TABLE stamp (one INTEGER PRIMARY KEY CHECK (one = 1), branch INTEGER NOT NULL, at INTEGER NOT NULL);
  INSERT INTO stamp VALUES (1, 0, 0);
  CREATE TABLE tally (name TEXT PRIMARY KEY, entries INTEGER NOT NULL, bytes INTEGER NOT NULL);
  CREATE TABLE ballast (id INTEGER PRIMARY KEY, sha TEXT NOT NULL, body BLOB NOT NULL);
`;

/** Makes the database with its ballast. */
export function createContent(path: string, kind: DatabaseKind, random: Seeded): void {
  const db = new Database(path);
  try {
    db.pragma(`page_size = ${kind.pageSize}`);
    db.pragma(`auto_vacuum = ${kind.autoVacuum}`);
    db.pragma('journal_mode = WAL');
    db.exec(LEDGER_SCHEMA);
    db.exec(SCHEMA);
    const insert = db.prepare('INSERT INTO ballast VALUES (?, ?, ?)');
    for (let id = 1; id <= BODIES; id++) {
      const body = random.noise(Math.ceil(kind.longest ** (id / BODIES)));
      insert.run(id, sha256(body), body);
    }
  } finally {
    db.close();
  }
}

/** The statements of a transaction that make it the next commit; what else it does follows. */
export const STAMPED = `${APPEND_NEXT}
  UPDATE stamp SET at = CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER);`;

/** Makes a table and its tally, where they are not there. */
export function tableSql(k: number): string {
  const count = (sign: string, row: string): string =>
    `UPDATE tally SET entries = entries ${sign} 1, bytes = bytes ${sign} length(${row}.body) WHERE name = 'load_${k}';`;
  return `
    CREATE TABLE IF NOT EXISTS load_${k} (id INTEGER PRIMARY KEY, source INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE TRIGGER IF NOT EXISTS load_${k}_i AFTER INSERT ON load_${k} BEGIN ${count('+', 'new')} END;
    CREATE TRIGGER IF NOT EXISTS load_${k}_d AFTER DELETE ON load_${k} BEGIN ${count('-', 'old')} END;
    CREATE TRIGGER IF NOT EXISTS load_${k}_u AFTER UPDATE ON load_${k} BEGIN ${count('-', 'old')} ${count('+', 'new')} END;
    INSERT OR IGNORE INTO tally VALUES ('load_${k}', 0, 0);`;
}

export function dropSql(k: number): string {
  return `DROP TABLE IF EXISTS load_${k}; DELETE FROM tally WHERE name = 'load_${k}';`;
}

/** Reads where a database stands, without checking it. */
export function placeOf(path: string): Place {
  const db = new Database(path, { readonly: true });
  try {
    return db.prepare('SELECT branch, n FROM stamp, counter').get() as Place;
  } finally {
    db.close();
  }
}

/** Checks all content; throws when it is not, exactly, a committed state. */
export function checkContent(path: string): State {
  const db = new Database(path);
  try {
    const found = db.pragma('integrity_check(5)', { simple: true });
    if (found !== 'ok') throw new Error(`integrity check: ${String(found)}`);
    const n = committedIn({
      exec: (sql) => void db.exec(sql),
      all: (sql) => db.prepare(sql).all() as Record<string, unknown>[],
      inTransaction: () => db.inTransaction,
      close: () => undefined,
    });
    for (const { id, sha, body } of db.prepare('SELECT * FROM ballast').all() as {
      id: number;
      sha: string;
      body: Buffer;
    }[]) {
      if (sha256(body) !== sha) throw new Error(`not a committed state: body ${id} of the ballast is another`);
    }
    const named = db
      .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'load%' ORDER BY name")
      .pluck()
      .all() as string[];
    const tallied = db.prepare('SELECT name, entries, bytes FROM tally ORDER BY name').all() as {
      name: string;
      entries: number;
      bytes: number;
    }[];
    if (named.join() !== tallied.map(({ name }) => name).join()) {
      throw new Error(`not a committed state: tables ${named.join()}, tallied ${JSON.stringify(tallied)}`);
    }
    for (const { name, entries, bytes } of tallied) {
      const actual = db
        .prepare(`SELECT count(*) AS entries, coalesce(sum(length(body)), 0) AS bytes FROM ${name}`)
        .get() as { entries: number; bytes: number };
      if (actual.entries !== entries || actual.bytes !== bytes) {
        throw new Error(
          `not a committed state: ${name} has ${JSON.stringify(actual)}, tallied ${JSON.stringify({ entries, bytes })}`,
        );
      }
      const wrong = db
        .prepare(
          `SELECT count(*) FROM ${name} t LEFT JOIN ballast b ON b.id = t.source
           WHERE t.body IS NOT substr(b.body, 1, length(t.body))`,
        )
        .pluck()
        .get();
      if (wrong !== 0)
        throw new Error(`not a committed state: ${String(wrong)} rows of ${name} hold what was never put there`);
    }
    const { branch, at } = db.prepare('SELECT branch, at FROM stamp').get() as { branch: number; at: number };
    return { branch, n, at };
  } finally {
    db.close();
  }
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
