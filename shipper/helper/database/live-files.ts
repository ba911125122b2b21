/**
 * The files of a live database, read without SQLite: the database, its WAL and its WAL index.
 *
 * A process loses its POSIX locks on a file when it closes any descriptor of that file. So these are opened after the
 * first connection and closed after the last.
 */
import { closeSync, fdatasync, fstatSync, openSync, readSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Clock } from '../../clock.ts';
import type { FileOwner } from '../../../replica/format/snapshot.ts';
import { identitiesUnder, identity, type Identities } from './file-identity.ts';
import { type Change, LeftBehind } from './left-behind.ts';
import { readShmHeader, type ShmHeader } from './shm-header.ts';

const datasync = promisify(fdatasync);

/** What tells that a file was written to. */
export interface Stamp {
  /** Bytes. */
  readonly size: bigint;
  /** When it was last written to, and when it or its permissions last changed, nanoseconds. */
  readonly written: bigint;
  readonly changed: bigint;
  /** Permissions, owner and number of links. */
  readonly access: string;
}

/** How the paths no longer lead to the files that are open. */
export type Astray =
  /** Another file lies under the database's path, or none. */
  | 'file'
  /** The database is in its place. Its WAL is not. */
  | 'wal'
  /** The database is in its place. Its WAL index is not. */
  | 'shm';

export class LiveFiles {
  readonly #path: string;
  readonly #shm: number;
  readonly #file: number;
  readonly #wal: number;
  readonly #opened: Identities;
  #closed = false;

  /** Opens all three. They exist because a connection is in a read transaction. */
  constructor(path: string) {
    this.#path = path;
    const opened: number[] = [];
    const open = (name: string): number => {
      const fd = openSync(name, 'r');
      opened.push(fd);
      return fd;
    };
    try {
      this.#shm = open(`${path}-shm`);
      this.#file = open(path);
      this.#wal = open(`${path}-wal`);
      const identified = (fd: number): string => identity(fstatSync(fd, { bigint: true }));
      this.#opened = { file: identified(this.#file), wal: identified(this.#wal), shm: identified(this.#shm) };
    } catch (error) {
      opened.forEach(closeSync);
      throw error;
    }
  }

  /** Permissions and owner of the database file. */
  owner(): FileOwner {
    const { mode, uid, gid } = fstatSync(this.#file);
    return { mode: mode & 0o7777, uid, gid };
  }

  /** Device and inode of each. */
  get opened(): Identities {
    return this.#opened;
  }

  /**
   * How the paths no longer lead to the files that are open; undefined if they do. If not, nothing may be opened, locked
   * or checkpointed: connections that were opened by path would meet other files than those of the app.
   */
  astray(): Astray | undefined {
    const now = identitiesUnder(this.#path);
    if (now.file !== this.#opened.file) return 'file';
    if (now.wal !== this.#opened.wal) return 'wal';
    return now.shm === this.#opened.shm ? undefined : 'shm';
  }

  /** Of the database file: checkpoints change it, and nothing else may. */
  stamp(): Stamp {
    const { size, mtimeNs, ctimeNs, mode, uid, gid, nlink } = fstatSync(this.#file, { bigint: true });
    return { size, written: mtimeNs, changed: ctimeNs, access: [mode, uid, gid, nlink].join() };
  }

  /** Bytes of the database file; fewer if it ends earlier. Stable only while a snapshot is held. */
  read(offset: number, length: number): Buffer {
    this.#mustBeOpen();
    return readAt(this.#file, offset, length);
  }

  /** Undefined while it is being changed this very moment, and once the files are closed. */
  shmHeader(): ShmHeader | undefined {
    return this.#closed ? undefined : readShmHeader(this.#shm);
  }

  /** Bytes of the WAL file; fewer if it ends earlier. */
  readWal(offset: number, length: number): Buffer {
    this.#mustBeOpen();
    return readAt(this.#wal, offset, length);
  }

  /** Size of the WAL file on disk, bytes. */
  walSize(): number {
    return fstatSync(this.#wal).size;
  }

  /** Flushes the WAL to disk, in a thread. Never fails: a checkpoint will report what is wrong. */
  async flushWal(): Promise<void> {
    await datasync(this.#wal).catch(() => undefined);
  }

  close(): void {
    this.#closed = true;
    for (const fd of [this.#wal, this.#shm, this.#file]) closeSync(fd);
  }

  /** Hands the descriptors over; nothing is read here any more. */
  leave(change: Change, clock: Clock): LeftBehind {
    const wal = this.shmHeader();
    this.#closed = true;
    return new LeftBehind({ file: this.#file, wal: this.#wal, shm: this.#shm }, this.#opened, {
      change,
      clock,
      hasPending: wal === undefined || wal.frames > wal.backfilled,
    });
  }

  /** The numbers of closed descriptors may be those of other files by now. */
  #mustBeOpen(): void {
    if (this.#closed) throw new Error(`the files of ${this.#path} were let go`);
  }
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
