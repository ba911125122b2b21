/** Two machines with copies of one database, and one bucket. */
import { copyFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { Shipper } from '../../shipper/index.ts';
import { Scene } from '../shipper/scene.ts';

process.env['AWS_ACCESS_KEY_ID'] ??= 'test';
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'test';

/** A copy of the scene's database on another machine, which ships into the same bucket. */
export function copyOf(scene: Scene): AsyncDisposable & { readonly other: Scene; readonly copy: Database.Database } {
  const other = new Scene();
  other.bucket = scene.bucket;
  const db = new Database(scene.database);
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
  copyFileSync(scene.database, other.database);
  const copy = new Database(other.database);
  copy.pragma('journal_mode = WAL');
  return {
    other,
    copy,
    [Symbol.asyncDispose]: async () => {
      copy.close();
      await other[Symbol.asyncDispose]();
    },
  };
}

/** Calls `sync()` after commits, again and again, until it is refused; tells what was answered, and when it was called. */
export class Syncing {
  readonly answered: { readonly called: number; readonly value: number }[] = [];
  #value = 0;
  refused: unknown;
  readonly over: Promise<void>;

  constructor(db: Database.Database, shipper: Shipper) {
    const insert = db.prepare('INSERT INTO t (b) VALUES (?)');
    this.over = (async () => {
      try {
        for (;;) {
          const value = ++this.#value;
          insert.run(`value ${value}`);
          const called = performance.now();
          await shipper.sync();
          this.answered.push({ called, value });
        }
      } catch (error) {
        this.refused = error;
      }
    })();
  }
}
