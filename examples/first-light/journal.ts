/**
 * The app's schema. Every transaction adds a line to the journal that says what the tables hold after it, so any state
 * of the database can be checked: only in a committed state do the counters and the rows agree.
 */
import type { Database } from 'better-sqlite3';

export interface Totals {
  readonly commits: number;
  readonly places: number;
  readonly visits: number;
  /** Sum of all places' revisions. */
  readonly revisions: number;
}

export const NOTHING: Totals = { commits: 0, places: 0, visits: 0, revisions: 0 };

export const SCHEMA = `
  CREATE TABLE places (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    country TEXT NOT NULL,
    region TEXT NOT NULL,
    latitude REAL NOT NULL,
    longitude REAL NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0
  );
  CREATE INDEX places_by_name ON places (country, name);
  CREATE TABLE visits (
    id INTEGER PRIMARY KEY,
    place INTEGER NOT NULL REFERENCES places (id),
    at INTEGER NOT NULL
  );
  CREATE INDEX visits_by_place ON visits (place);
  CREATE TABLE journal (
    commits INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    places INTEGER NOT NULL,
    visits INTEGER NOT NULL,
    revisions INTEGER NOT NULL
  );
`;

/** Reads the journal's last line. */
export function journalled(db: Database): Totals {
  const last = 'SELECT commits, places, visits, revisions FROM journal ORDER BY commits DESC LIMIT 1';
  return (db.prepare(last).get() as Totals | undefined) ?? NOTHING;
}

/** Counts every row of the tables. */
export function counted(db: Database): Totals {
  const count = `
    SELECT
      (SELECT count(*) FROM journal) AS commits,
      (SELECT count(*) FROM places) AS places,
      (SELECT count(*) FROM visits) AS visits,
      (SELECT coalesce(sum(revision), 0) FROM places) AS revisions`;
  return db.prepare(count).get() as Totals;
}

export function sameTotals(a: Totals, b: Totals): boolean {
  return a.commits === b.commits && a.places === b.places && a.visits === b.visits && a.revisions === b.revisions;
}
