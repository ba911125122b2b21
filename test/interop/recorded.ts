/** A database whose every state is remembered while some program backs it up, so that any restore can be judged. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { SeawallError } from '../../replica/terms/errors.ts';
import { restore } from '../../replica/restore/restore.ts';
import type { Store } from '../../replica/store/store.ts';
import { hashOf } from '../history/history.ts';
import { Seeded } from '../history/seeded.ts';
import type { Scene } from '../shipper/scene.ts';
import type { Litestream, Outcome, Place } from './litestream.ts';

/** A state that was certainly in the bucket, and a time at which it was the newest there. */
export interface Mark {
  readonly name: string;
  readonly hash: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** Milliseconds in which a sidecar has shipped a burst, however slow machine and place are. */
const MOST_TO_SHIP = 60_000;

export class RecordedDatabase {
  readonly scene: Scene;
  readonly marks: Mark[] = [];
  /** Hashes of all states it ever had. */
  readonly states = new Map<string, string>();
  readonly #random = new Seeded(4100);
  #db: Database.Database | undefined;
  #restored = 0;

  constructor(scene: Scene) {
    this.scene = scene;
  }

  get db(): Database.Database {
    if (this.#db !== undefined) return this.#db;
    const db = new Database(this.scene.database);
    db.pragma('journal_mode = WAL');
    db.pragma('wal_autocheckpoint = 0'); // checkpoints happen only when this class makes them
    db.pragma('busy_timeout = 5000');
    db.exec('CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, body BLOB NOT NULL, version INTEGER NOT NULL)');
    this.#db = db;
    return db;
  }

  close(): void {
    this.#db?.close();
    this.#db = undefined;
  }

  /** Some transactions; each one's state is remembered. */
  write(transactions: number, name: string, rows = 20): void {
    const { db } = this;
    const insert = db.prepare('INSERT INTO t (body, version) VALUES (?, 0)');
    const change = db.prepare('UPDATE t SET version = version + 1, body = ? WHERE id % 7 = ?');
    for (let i = 0; i < transactions; i++) {
      db.transaction(() => {
        for (let row = 0; row < rows; row++) insert.run(this.#random.noise(this.#random.int(900)));
        change.run(this.#random.noise(300), this.#random.int(7));
        if (this.#random.chance(0.2)) db.prepare('DELETE FROM t WHERE id % 11 = ?').run(this.#random.int(11));
      })();
      this.remember(`${name} ${i}`);
    }
  }

  /** One transaction whose state is not remembered. */
  insert(): void {
    const insert = this.db.prepare('INSERT INTO t (body, version) VALUES (?, 0)');
    this.db.transaction(() => {
      for (let row = 0; row < 5; row++) insert.run(this.#random.noise(this.#random.int(900)));
      const change = this.db.prepare('UPDATE t SET version = version + 1 WHERE id = ?');
      for (let row = 0; row < 5; row++) change.run(this.#random.int(1000));
    })();
  }

  /** What the app wrote, without the tables that Litestream keeps in the database for itself. */
  content(path: string): string {
    const db = new Database(path, { readonly: true });
    try {
      const rows = db.prepare('SELECT id, body, version FROM t ORDER BY id').raw().all() as [number, Buffer, number][];
      return hashOf(Buffer.concat(rows.flatMap(([id, body, version]) => [Buffer.from(`${id}/${version}/`), body])));
    } finally {
      db.close();
    }
  }

  /** What SQLite finds wrong with a database file. */
  integrity(path: string): string[] {
    const db = new Database(path);
    try {
      const rows = db.pragma('integrity_check') as { integrity_check: string }[];
      return rows.map((row) => row.integrity_check).filter((found) => found !== 'ok');
    } finally {
      db.close();
    }
  }

  /** Remembers the present state. */
  remember(name: string): string {
    const hash = hashOf(this.scene.image());
    this.states.set(hash, name);
    return hash;
  }

  /** Waits until what is in the bucket restores to what the app wrote. */
  async shipped(store: Store): Promise<void> {
    const live = this.content(this.scene.database);
    const path = `${this.scene.folder}/shipped.db`;
    const end = Date.now() + MOST_TO_SHIP;
    for (;;) {
      const found = await restore(store, path).then(
        () => this.content(path),
        (error: unknown) => {
          // Nothing is there yet, or something was merged and deleted meanwhile.
          if (error instanceof SeawallError) return error.message;
          throw error;
        },
      );
      for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
      if (found === live) return;
      assert.ok(Date.now() < end, `not shipped within ${MOST_TO_SHIP} ms: ${found}`);
      await sleep(50);
    }
  }

  /** The present state is in the bucket; waits until times on either side can be told apart there. */
  async mark(name: string, place: Place): Promise<Mark> {
    const hash = this.remember(name);
    // S3 listings tell whole seconds.
    await sleep(place.kind === 'S3' ? 1100 : 30);
    const mark = { name, hash, time: Date.now() };
    this.marks.push(mark);
    await sleep(place.kind === 'S3' ? 1100 : 30);
    return mark;
  }

  /** The latest state, or that of a mark, as Litestream restores it. */
  async restoredBy(
    litestream: Litestream,
    place: Place,
    ...flags: readonly string[]
  ): Promise<Outcome & { readonly hash: string; readonly state: string | undefined }> {
    const output = `${this.scene.folder}/litestream-${++this.#restored}.db`;
    const outcome = await litestream.restore(place, this.scene.database, output, ...flags);
    const hash = outcome.ok && existsSync(output) ? hashOf(readFileSync(output)) : '';
    for (const suffix of ['', '-wal', '-shm', '.tmp', '.tmp-wal', '.tmp-shm']) rmSync(output + suffix, { force: true });
    return { ...outcome, hash, state: this.states.get(hash) };
  }

  async expectRestored(litestream: Litestream, place: Place, mark: Mark, ...flags: readonly string[]): Promise<void> {
    const found = await this.restoredBy(litestream, place, ...flags);
    const got = found.ok ? (found.state ?? 'a state it never had') : found.said;
    assert.equal(found.hash, mark.hash, `${mark.name} ${flags.join(' ')}: got ${got}`);
  }
}

export function timestamp({ time }: Mark): readonly [string, string] {
  return ['-timestamp', new Date(time).toISOString()];
}
