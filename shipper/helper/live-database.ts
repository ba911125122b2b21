/**
 * A live database under the helper's hand: the pin, the checkpoints, and the bytes of its files.
 *
 * The pin is a read transaction that is always held by one of two connections, handed over before it is let go. While
 * it stands on a frame, SQLite cannot restart the WAL; while it stands on the database file alone (after everything
 * was checkpointed), SQLite may restart the WAL once and then checkpoint nothing. So no frame leaves the WAL that the
 * pin's holder did not let go knowingly.
 *
 * POSIX locks vanish when any descriptor of a file is closed in the process: the descriptors here are opened after the
 * first connection and closed after the last.
 */
import Database from 'better-sqlite3';
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { SeawallError } from '../../replica/errors.ts';
import type { FileOwner } from '../../replica/format/snapshot.ts';
import { readWalIndex, type WalIndex } from './wal-index.ts';

type Connection = Database.Database;

/** How long the write lock may be tried for at a time, milliseconds. */
const LOCK_TRIES_MS = 25;
/** How long a seal may hold the write lock while another checkpoint is in its way, milliseconds. */
const SEAL_HOLD_MS = 20;

export type SealResult =
  /** Ended at the committed frames that `wal` tells of. */
  | { readonly kind: 'sealed'; readonly wal: WalIndex }
  /** The tail could not be captured. */
  | { readonly kind: 'not-captured' }
  /** `writer`: the write lock was never free. `reader`: a read transaction of the app keeps frames from being copied. */
  | { readonly kind: 'blocked'; readonly by: 'writer' | 'reader' | 'checkpoint' };

export class LiveDatabase {
  readonly path: string;
  readonly pageSize: number;
  readonly #readers: [Connection, Connection];
  readonly #checkpointer: Connection;
  readonly #writer: Connection;
  readonly #shm: number;
  readonly #file: number;
  readonly #inode: bigint;
  readonly #shmInode: bigint;
  #snapshotReader: Connection | undefined;
  #wal: number | undefined;
  #pinned: 0 | 1 = 0;

  /** Opens the database and pins it at once. Throws `refused` or `local` with what to do about it. */
  static open(path: string): LiveDatabase {
    const connections: Connection[] = [];
    try {
      return new LiveDatabase(path, connections);
    } catch (error) {
      for (const connection of connections) connection.close();
      throw openError(path, error);
    }
  }

  private constructor(path: string, opened: Connection[]) {
    this.path = path;
    const connect = (): Connection => {
      const connection = new Database(path, { fileMustExist: true, timeout: 0 });
      opened.push(connection);
      connection.pragma('wal_autocheckpoint = 0');
      connection.pragma('cache_size = 10');
      connection.pragma('mmap_size = 0');
      return connection;
    };
    const first = connect();
    checkLibrary(first);
    const mode = first.pragma('journal_mode', { simple: true });
    if (mode !== 'wal') {
      throw new SeawallError(
        'refused',
        'NOT_WAL',
        `${path} is in journal mode ${String(mode)}; shipping needs WAL. Run PRAGMA journal_mode = WAL once, or set enableWal.`,
        { path, actual: String(mode), expected: 'wal' },
      );
    }
    this.pageSize = first.pragma('page_size', { simple: true }) as number;
    this.#readers = [first, connect()];
    this.#checkpointer = connect();
    this.#writer = connect();
    beginRead(first);
    // From here on until close(), the descriptors stay open.
    this.#shm = openSync(`${path}-shm`, 'r');
    this.#file = openSync(path, 'r');
    this.#inode = fstatSync(this.#file, { bigint: true }).ino;
    this.#shmInode = fstatSync(this.#shm, { bigint: true }).ino;
  }

  /** Pages and permissions as the file system tells them. */
  owner(): FileOwner {
    const { mode, uid, gid } = fstatSync(this.#file);
    return { mode: mode & 0o7777, uid, gid };
  }

  /** True when the paths no longer lead to the files that are open: someone put another database in its place. */
  replaced(): boolean {
    const inode = (path: string): bigint | undefined => statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
    return inode(this.path) !== this.#inode || inode(`${this.path}-shm`) !== this.#shmInode;
  }

  /** The committed end of the WAL; undefined while it is being changed this very moment. */
  walIndex(): WalIndex | undefined {
    for (let i = 0; i < 16; i++) {
      const found = readWalIndex(this.#shm);
      if (found !== undefined) return found;
      // A writer that was killed in the middle of its change leaves it so until a reader sets it right.
      if (i === 8) {
        const idle = this.#readers[this.#pinned === 0 ? 1 : 0];
        beginRead(idle);
        endTransaction(idle);
      }
    }
    return undefined;
  }

  /** Bytes of the WAL file; fewer when it ends before. */
  readWal(offset: number, length: number): Buffer {
    this.#wal ??= openSync(`${this.path}-wal`, 'r');
    return readAt(this.#wal, offset, length);
  }

  /** Size of the WAL file on disk, bytes. */
  walFileSize(): number {
    return statSync(`${this.path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Bytes of the database file; stable only while a snapshot is held. */
  readFile(offset: number, length: number): Buffer {
    return readAt(this.#file, offset, length);
  }

  /**
   * Hands the pin over to the newest committed frame, so that checkpoints can go on up to there. Call it only while
   * there are frames newer than the pin, or all of them are captured: checkpoints have come no further than the old
   * pin, so the new one stands on a frame, the WAL cannot be restarted, and what was not captured stays.
   *
   * Returns a number of frames that the new pin is not beyond; undefined when it cannot be told this moment.
   */
  advancePin(): number | undefined {
    const next = this.#pinned === 0 ? 1 : 0;
    beginRead(this.#readers[next]);
    endTransaction(this.#readers[this.#pinned]);
    this.#pinned = next;
    return this.walIndex()?.frames;
  }

  /** Copies frames into the database file, as far as readers allow, blocking nobody. */
  checkpointPassive(): { readonly frames: number; readonly backfilled: number } | 'busy' {
    try {
      const rows = this.#checkpointer.pragma('wal_checkpoint(PASSIVE)') as {
        busy: number;
        log: number;
        checkpointed: number;
      }[];
      const row = rows[0];
      if (row?.busy !== 0) return 'busy';
      return { frames: row.log, backfilled: row.checkpointed };
    } catch (error) {
      if (isBusy(error)) return 'busy';
      throw error;
    }
  }

  /**
   * Ends the WAL index without a lock, when everything in it is already in the database file: the pin moves to the
   * database file alone, so the app's next commit restarts the WAL. `captured` says whether all of the given frames
   * are safe; it is asked while the old pin still keeps every frame in place. Returns whether the index is sealed.
   */
  sealIdle(captured: (wal: WalIndex) => boolean): boolean {
    const before = this.walIndex();
    if (before === undefined || before.backfilled !== before.frames) return false;
    const next = this.#pinned === 0 ? 1 : 0;
    beginRead(this.#readers[next]);
    const after = this.walIndex();
    const still =
      after?.frames === before.frames &&
      after.backfilled === after.frames &&
      after.salt1 === before.salt1 &&
      captured(after);
    if (!still) {
      endTransaction(this.#readers[next]);
      return false;
    }
    endTransaction(this.#readers[this.#pinned]);
    this.#pinned = next;
    return true;
  }

  /**
   * Ends the WAL index under the write lock, for milliseconds: no commit can come between, the tail is captured by
   * `capture`, copied into the database file, and the pin moves to the database file alone. With `hold`, the same
   * instant also begins a snapshot (see {@link releaseSnapshot}). All frames committed before the call must be
   * captured; `capture` says whether it took the tail. Most of the copying is done before the lock is taken, and where a reader forbids it, the lock is not.
   */
  seal(capture: (wal: WalIndex) => boolean, hold = false): SealResult {
    const before = this.walIndex();
    this.advancePin();
    const copied = this.checkpointPassive();
    if (copied === 'busy') return { kind: 'blocked', by: 'checkpoint' };
    if (before !== undefined && copied.backfilled < before.frames) return { kind: 'blocked', by: 'reader' };
    if (!this.#lockWriter()) return { kind: 'blocked', by: 'writer' };
    try {
      const wal = this.walIndex();
      if (wal === undefined) return { kind: 'blocked', by: 'writer' };
      if (!capture(wal)) return { kind: 'not-captured' };
      if (wal.backfilled !== wal.frames) {
        this.advancePin();
        const blocked = this.#backfillAll(wal.frames);
        if (blocked !== undefined) return { kind: 'blocked', by: blocked };
      }
      if (hold) {
        this.#snapshotReader ??= this.#connectReader();
        beginRead(this.#snapshotReader);
      }
      this.advancePin();
      return { kind: 'sealed', wal };
    } finally {
      endTransaction(this.#writer);
    }
  }

  /** Pages of the database as the held snapshot sees it. */
  snapshotPages(): number {
    if (this.#snapshotReader === undefined) throw new Error('no snapshot is held');
    return this.#snapshotReader.pragma('page_count', { simple: true }) as number;
  }

  /** While true, checkpoints copy nothing and indexes cannot be ended. */
  get snapshotHeld(): boolean {
    return this.#snapshotReader?.inTransaction === true;
  }

  /** Lets checkpoints change the database file again. */
  releaseSnapshot(): void {
    if (this.#snapshotReader?.inTransaction === true) endTransaction(this.#snapshotReader);
  }

  /**
   * Restarts and truncates an overgrown WAL file after a seal: a write of no effect makes SQLite begin it anew, and
   * its size limit cuts the file. Nothing of the user's data changes.
   */
  shrinkWal(): void {
    if (!this.#lockWriter()) return;
    try {
      this.#writer.pragma('journal_size_limit = 0');
      const version = this.#writer.pragma('user_version', { simple: true }) as number;
      this.#writer.pragma(`user_version = ${version}`);
      this.#writer.exec('COMMIT');
    } finally {
      endTransaction(this.#writer);
    }
  }

  close(): void {
    for (const connection of [...this.#readers, this.#snapshotReader, this.#checkpointer, this.#writer]) {
      if (connection?.open === true) {
        endTransaction(connection);
        connection.close();
      }
    }
    if (this.#wal !== undefined) closeSync(this.#wal);
    closeSync(this.#shm);
    closeSync(this.#file);
  }

  #connectReader(): Connection {
    const connection = new Database(this.path, { fileMustExist: true, timeout: 0 });
    connection.pragma('wal_autocheckpoint = 0');
    connection.pragma('mmap_size = 0');
    return connection;
  }

  #lockWriter(): boolean {
    const until = performance.now() + LOCK_TRIES_MS;
    do {
      try {
        this.#writer.exec('BEGIN IMMEDIATE');
        return true;
      } catch (error) {
        if (!isBusy(error)) throw error;
      }
    } while (performance.now() < until);
    return false;
  }

  #backfillAll(frames: number): 'reader' | 'checkpoint' | undefined {
    const until = performance.now() + SEAL_HOLD_MS;
    do {
      const done = this.checkpointPassive();
      if (done !== 'busy') return done.backfilled >= frames ? undefined : 'reader';
    } while (performance.now() < until);
    return 'checkpoint';
  }
}

/** Starts a read transaction; `user_version` reads the header alone and needs no schema. */
function beginRead(connection: Connection): void {
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

function readAt(fd: number, offset: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(length);
  let at = 0;
  while (at < length) {
    const read = readSync(fd, bytes, at, length - at, offset + at);
    if (read === 0) return bytes.subarray(0, at);
    at += read;
  }
  return bytes;
}

function isBusy(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED'));
}

/** Refuses SQLite libraries with the WAL-reset bug: 3.7.0 to 3.51.2, but for 3.44.6+ and 3.50.7+ of their branches. */
function checkLibrary(connection: Connection): void {
  const version = connection.prepare('SELECT sqlite_version()').pluck().get() as string;
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  const fixed =
    major > 3 ||
    minor > 51 ||
    (minor === 51 && patch >= 3) ||
    (minor === 50 && patch >= 7) ||
    (minor === 44 && patch >= 6);
  if (fixed) return;
  throw new SeawallError(
    'refused',
    'SQLITE_WAL_RESET_BUG',
    `SQLite ${version} can corrupt a database that one process checkpoints while another writes. Use better-sqlite3 12.8 or newer.`,
    { actual: version, expected: '3.51.3' },
  );
}

function openError(path: string, error: unknown): unknown {
  if (error instanceof SeawallError) return error;
  const code = (error as { code?: string }).code ?? '';
  if (code === 'SQLITE_CANTOPEN') {
    return new SeawallError(
      'local',
      'DATABASE_OPEN',
      `${path} cannot be opened: check that it exists and may be read and written`,
      { path },
      error,
    );
  }
  if (isBusy(error)) {
    return new SeawallError(
      'refused',
      'DATABASE_LOCKED',
      `${path} is locked by a connection in locking_mode=EXCLUSIVE or in a rollback journal's transaction; end it first`,
      { path },
      error,
    );
  }
  if (code === 'SQLITE_NOTADB') {
    return new SeawallError(
      'local',
      'DATABASE_NOT_SQLITE',
      `${path} is not an SQLite database (or is encrypted)`,
      { path },
      error,
    );
  }
  if (code.startsWith('SQLITE_READONLY') || code === 'EACCES') {
    return new SeawallError(
      'local',
      'DATABASE_READ_ONLY',
      `${path} lies on read-only media, or its folder may not be written`,
      { path },
      error,
    );
  }
  return new SeawallError('local', 'DATABASE_OPEN', `${path} cannot be opened: ${String(error)}`, { path }, error);
}
