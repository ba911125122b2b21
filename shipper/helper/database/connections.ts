/**
 * The connections of the helper to one database, each opened when it is needed first. A connection costs some 70 KiB
 * and two descriptors, so those that hold no transaction are closed while the database is quiet.
 */
import Database from 'better-sqlite3';
import { isBusy } from './sqlite-refusals.ts';

export type Connection = Database.Database;

/** Readers cannot lock the file exclusively, so closing them last checkpoints nothing and deletes no WAL. */
export type Role = 'checkpointer' | 'writer' | 'reader' | 'otherReader' | 'snapshotReader';

const READ_ONLY: ReadonlySet<Role> = new Set(['reader', 'otherReader', 'snapshotReader']);
/** In this order, so that a reader is closed last. */
const ROLES: readonly Role[] = ['checkpointer', 'writer', 'snapshotReader', 'otherReader', 'reader'];

export class Connections {
  readonly #path: string;
  readonly #checkPlace: () => void;
  readonly #open = new Map<Role, Connection>();

  /** `checkPlace` is called before a connection that was just opened reads anything; it throws to forbid that. */
  constructor(path: string, checkPlace: () => void) {
    this.#path = path;
    this.#checkPlace = checkPlace;
  }

  get(role: Role): Connection {
    const open = this.#open.get(role);
    if (open !== undefined) return open;
    const connection = new Database(this.#path, { fileMustExist: true, timeout: 0, readonly: READ_ONLY.has(role) });
    try {
      this.#checkPlace();
      connection.pragma('wal_autocheckpoint = 0');
      connection.pragma('mmap_size = 0');
      // Holds no more than the pages in use; SQLite would set memory aside for 20.
      connection.pragma('cache_size = 1');
      connection.pragma('shrink_memory');
    } catch (error) {
      connection.close();
      throw error;
    }
    this.#open.set(role, connection);
    return connection;
  }

  inTransaction(role: Role): boolean {
    return this.#open.get(role)?.inTransaction === true;
  }

  /** Ends a transaction, if there is one. */
  end(role: Role): void {
    const connection = this.#open.get(role);
    if (connection?.inTransaction === true) connection.exec('ROLLBACK');
  }

  /** Closes those that hold no transaction. Whoever calls this has a reader in one, or writers would be closed last. */
  rest(): void {
    for (const [role, connection] of this.#open) {
      if (connection.inTransaction) continue;
      this.#open.delete(role);
      connection.close();
    }
  }

  /** `writersLast`: as an app closes a database, so SQLite may checkpoint it and remove its WAL. */
  closeAll(writersLast: boolean): void {
    for (const role of writersLast ? ROLES.toReversed() : ROLES) {
      this.end(role);
      this.#open.get(role)?.close();
      this.#open.delete(role);
    }
  }
}

/** Starts a read transaction; `user_version` reads the header alone and needs no schema. */
export function beginRead(connection: Connection): void {
  connection.exec('BEGIN');
  for (let tries = 0; ; tries++) {
    try {
      connection.pragma('user_version', { simple: true });
      return;
    } catch (error) {
      // A checkpoint or a recovery of another process holds the lock for an instant.
      if (!isBusy(error) || tries >= 10_000) {
        endTransaction(connection);
        throw error;
      }
    }
  }
}

function endTransaction(connection: Connection): void {
  if (connection.inTransaction) connection.exec('ROLLBACK');
}
