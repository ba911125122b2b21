/** Random work on a real SQLite database. Each step makes one commit at most, so that every state can be captured. */
import type Database from 'better-sqlite3';
import type { Seeded } from './seeded.ts';

export interface WorkloadOptions {
  /** Bytes of the largest single value. */
  readonly largest: number;
  /** Above this many bytes, work tends to shrink the database. */
  readonly most: number;
}

const TABLES = ['alpha', 'beta', 'gamma'];

type Step = (db: Database.Database, random: Seeded, options: WorkloadOptions) => void;

/** One step, chosen at random. */
export function randomStep(db: Database.Database, random: Seeded, options: WorkloadOptions): void {
  if (db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() === 0) {
    firstStep(db, random, options);
    return;
  }
  const bytes = pragma(db, 'page_count') * pragma(db, 'page_size');
  const shrink = bytes > options.most ? 8 : 1;
  const step = random.weighted<Step>([
    [10, insert],
    [8, update],
    [3 * shrink, remove],
    [1 * shrink, empty],
    [3, transaction],
    [3, spilling],
    [2, nested],
    [1, recreate],
    [1 * shrink, (target) => void target.exec('VACUUM')],
    [2 * shrink, (target, r) => void target.pragma(`incremental_vacuum(${r.range(1, 40)})`)],
    [1, index],
    [1, (target, r) => void target.pragma(`user_version = ${r.int(1 << 30)}`)],
    [1, (target) => void target.exec('BEGIN; COMMIT')],
  ]);
  step(db, random, options);
}

/** A first state with something in it; a single commit. */
export function firstStep(db: Database.Database, random: Seeded, options: WorkloadOptions): void {
  within(db, 'BEGIN', () => {
    for (const table of TABLES) create(db, table);
    if (random.chance(0.7)) insert(db, random, options);
  });
}

const insert: Step = (db, random, options) => {
  const table = tableOf(db, random);
  const statement = db.prepare(`INSERT INTO ${table} (name, body) VALUES (?, ?)`);
  const rows = random.weighted([
    [5, 1],
    [3, random.range(2, 20)],
    [1, random.range(20, 200)],
  ] as const);
  atomically(db, () => {
    for (let i = 0; i < rows; i++) statement.run(random.hex(8), value(random, rows > 20 ? 300 : options.largest));
  });
};

const update: Step = (db, random, options) => {
  const table = tableOf(db, random);
  const rows = db.prepare(`SELECT id FROM ${table} ORDER BY id`).pluck().all() as number[];
  const statement = db.prepare(`UPDATE ${table} SET name = ?, body = ? WHERE id = ?`);
  const count = Math.min(rows.length, random.range(1, 8));
  atomically(db, () => {
    for (let i = 0; i < count; i++) statement.run(random.hex(8), value(random, options.largest), random.pick(rows));
  });
};

const remove: Step = (db, random) => {
  const table = tableOf(db, random);
  db.prepare(`DELETE FROM ${table} WHERE id % ? = ?`).run(random.range(2, 5), random.int(2));
};

const empty: Step = (db, random) => {
  db.exec(`DELETE FROM ${tableOf(db, random)}`);
};

/** Several statements, rolled back sometimes. */
const transaction: Step = (db, random, options) => {
  within(db, random.pick(['BEGIN', 'BEGIN IMMEDIATE']), () => {
    for (let i = random.range(1, 6); i > 0; i--) random.pick([insert, update, remove])(db, random, options);
    return random.chance(0.3) ? 'ROLLBACK' : 'COMMIT';
  });
};

/** Larger than the cache: pages spill into the WAL before the commit, and stay there when it is rolled back. */
const spilling: Step = (db, random, options) => {
  const kept = pragma(db, 'cache_size');
  db.pragma('cache_size = 5');
  db.pragma('cache_spill = 5');
  within(db, 'BEGIN', () => {
    for (let i = random.range(3, 12); i > 0; i--) insert(db, random, options);
    update(db, random, options);
    return random.chance(0.4) ? 'ROLLBACK' : 'COMMIT';
  });
  db.pragma(`cache_size = ${kept}`);
};

const nested: Step = (db, random, options) => {
  within(db, 'BEGIN', () => {
    insert(db, random, options);
    db.exec('SAVEPOINT inner');
    random.pick([insert, remove, update])(db, random, options);
    db.exec(random.chance(0.6) ? 'ROLLBACK TO inner; RELEASE inner' : 'RELEASE inner');
    if (random.chance(0.5)) update(db, random, options);
  });
};

const recreate: Step = (db, random, options) => {
  within(db, 'BEGIN', () => {
    const table = tableOf(db, random);
    db.exec(`DROP TABLE ${table}`);
    create(db, table);
    if (random.chance(0.5)) insert(db, random, options);
  });
};

const index: Step = (db, random) => {
  const table = tableOf(db, random);
  const found = db.prepare(`SELECT 1 FROM sqlite_schema WHERE name = ?`).get(`${table}_name`);
  db.exec(found === undefined ? `CREATE INDEX ${table}_name ON ${table} (name)` : `DROP INDEX ${table}_name`);
};

function create(db: Database.Database, table: string): void {
  db.exec(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, body BLOB)`);
}

function tableOf(db: Database.Database, random: Seeded): string {
  return random.pick(db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all() as string[]);
}

function value(random: Seeded, largest: number): Buffer {
  const length = random.weighted([
    [6, random.int(200)],
    [3, random.int(Math.min(largest, 5000) + 1)],
    [1, random.int(largest + 1)],
  ] as const);
  return random.chance(0.5) ? random.noise(length) : random.text(length);
}

function atomically(db: Database.Database, body: () => void): void {
  if (db.inTransaction) body();
  else within(db, 'BEGIN', body);
}

function within(db: Database.Database, begin: string, body: () => unknown): void {
  db.exec(begin);
  db.exec(body() === 'ROLLBACK' ? 'ROLLBACK' : 'COMMIT');
}

function pragma(db: Database.Database, name: string): number {
  return db.pragma(name, { simple: true }) as number;
}
