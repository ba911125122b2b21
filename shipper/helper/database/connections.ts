/**
 * The connections of the helper to one database. Each is opened when it is first needed. A connection costs some 70 KiB
 * and two descriptors, so connections without a transaction are closed while the database is quiet.
 */
import Database from 'better-sqlite3';
import { isBusy } from './sqlite-refusals.ts';

export type Connection = Database.Database;

/**
 * What a connection is for. Readers cannot lock the file exclusively, so closing one last neither checkpoints nor
 * deletes the WAL.
 */
export type Role = 'checkpointer' | 'writer' | 'reader' | 'otherReader' | 'snapshotReader';

const READ_ONLY: ReadonlySet<Role> = new Set(['reader', 'otherReader', 'snapshotReader']);
/** The order of closing, so that a reader is closed last. */
const ROLES: readonly Role[] = ['checkpointer', 'writer', 'snapshotReader', 'otherReader', 'reader'];

export class Connections {
  readonly #path: string;
  readonly #checkPlace: () => void;
  readonly #open = new Map<Role, Connection>();
  #isClosed = false;

  /** `checkPlace` is called before a connection is opened, and before it reads anything; it throws to forbid that. */
  constructor(path: string, checkPlace: () => void) {
    this.#path = path;
    this.#checkPlace = checkPlace;
  }

  /** `gate` is asked instead of `checkPlace`. */
  get(role: Role, gate = this.#checkPlace): Connection {
    const open = this.#open.get(role);
    if (open !== undefined) return open;
    if (this.#isClosed) throw new Error(`the connections to ${this.#path} were closed`);
    gate();
    const connection = new Database(this.#path, { fileMustExist: true, timeout: 0, readonly: READ_ONLY.has(role) });
    try {
      gate();
      connection.pragma('wal_autocheckpoint = 0');
      connection.pragma('mmap_size = 0');
      // The cache holds no more than the pages in use; SQLite would set memory aside for 20.
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

  /** Ends the transaction of this connection, if there is one. */
  end(role: Role): void {
    const connection = this.#open.get(role);
    if (connection?.inTransaction === true) connection.exec('ROLLBACK');
  }

  /** Closes connections without a transaction. A reader must be in one, or a writer would be the last to close. */
  rest(): void {
    for (const [role, connection] of this.#open) {
      if (connection.inTransaction) continue;
      this.#open.delete(role);
      connection.close();
    }
  }

  /** Closes all. With `writersLast` SQLite may checkpoint the database and remove its WAL, as when an app closes it. */
  closeAll(writersLast: boolean): void {
    this.#isClosed = true;
    for (const role of writersLast ? ROLES.toReversed() : ROLES) {
      this.end(role);
      this.#open.get(role)?.close();
      this.#open.delete(role);
    }
  }
}

/** Starts a read transaction. It reads `user_version`, which lies in the header, so no schema is needed. */
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
