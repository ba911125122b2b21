/** The app's work: transactions that insert, change and delete places and note visits. */
import type { Database, Statement } from 'better-sqlite3';
import type { Place } from './gazetteer.ts';
import { NOTHING, SCHEMA, type Totals } from './journal.ts';

/** Rows of each kind in one transaction. */
const INSERTS = 40;
const REVISIONS = 10;
const VISITS = 10;
const DELETES = 2;

export class Writer {
  readonly #db: Database;
  readonly #places: readonly Place[];
  readonly #insert: Statement<[Place]>;
  readonly #revise: Statement<[number]>;
  readonly #visit: Statement<[number, number]>;
  readonly #forget: Statement<[number]>;
  readonly #delete: Statement<[number]>;
  readonly #note: Statement<[Totals & { at: number }]>;
  #inserted = 0;
  #totals: Totals = NOTHING;

  constructor(db: Database, places: readonly Place[]) {
    db.exec(SCHEMA);
    this.#db = db;
    this.#places = places;
    this.#insert = db.prepare(
      `INSERT INTO places (name, country, region, latitude, longitude)
       VALUES (@name, @country, @region, @latitude, @longitude)`,
    );
    this.#revise = db.prepare('UPDATE places SET revision = revision + 1 WHERE id = ?');
    this.#visit = db.prepare('INSERT INTO visits (place, at) SELECT id, ? FROM places WHERE id = ?');
    this.#forget = db.prepare('DELETE FROM visits WHERE place = ?');
    this.#delete = db.prepare('DELETE FROM places WHERE id = ? RETURNING revision');
    this.#note = db.prepare('INSERT INTO journal VALUES (@commits, @at, @places, @visits, @revisions)');
  }

  /** Everything committed so far. */
  get totals(): Totals {
    return this.#totals;
  }

  /** One transaction of inserts alone. */
  load(count: number): void {
    this.#commit((totals) => ({ ...totals, places: totals.places + this.#insertSome(count) }));
  }

  /** One transaction of a bit of everything. */
  work(): void {
    this.#commit((totals) => {
      let { places, visits, revisions } = totals;
      places += this.#insertSome(INSERTS);
      for (let i = 0; i < REVISIONS; i++) revisions += this.#revise.run(this.#somewhere()).changes;
      for (let i = 0; i < VISITS; i++) visits += this.#visit.run(Date.now(), this.#somewhere()).changes;
      for (let i = 0; i < DELETES; i++) {
        const id = this.#somewhere();
        visits -= this.#forget.run(id).changes;
        const gone = this.#delete.all(id) as { revision: number }[];
        places -= gone.length;
        for (const { revision } of gone) revisions -= revision;
      }
      return { ...totals, places, visits, revisions };
    });
  }

  /**
   * Begins a transaction that changes every place, and never ends it: yields after each piece of it. SQLite's cache is
   * made small first, so that changed pages are written to the WAL without a commit.
   */
  *leaveOpen(): Generator<void, never> {
    this.#db.pragma('cache_size = 16');
    this.#db.exec('BEGIN IMMEDIATE');
    const change = this.#db.prepare('UPDATE places SET revision = revision + 1000 WHERE id BETWEEN ? AND ?');
    for (let id = 1; ; id = (id + 250) % this.#inserted) {
      change.run(id, id + 249);
      yield;
    }
  }

  #commit(change: (totals: Totals) => Totals): void {
    this.#totals = this.#db
      .transaction(() => {
        const totals = change({ ...this.#totals, commits: this.#totals.commits + 1 });
        this.#note.run({ ...totals, at: Date.now() });
        return totals;
      })
      .immediate();
  }

  #insertSome(count: number): number {
    const some = this.#places.slice(this.#inserted, this.#inserted + count);
    for (const place of some) this.#insert.run(place);
    this.#inserted += some.length;
    return some.length;
  }

  /** Some place's id; it may have been deleted. */
  #somewhere(): number {
    return 1 + Math.floor(Math.random() * this.#inserted);
  }
}
