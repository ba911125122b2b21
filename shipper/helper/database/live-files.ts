/**
 * The files of a live database, open and read as they are: the database, its WAL and its WAL index.
 *
 * POSIX locks vanish when any descriptor of a file is closed in the process: these are opened after the first
 * connection and closed after the last.
 */
import { closeSync, fdatasync, fstatSync, openSync, readSync } from 'node:fs';
import { promisify } from 'node:util';
import type { FileOwner } from '../../../replica/format/snapshot.ts';
import { inodeOf, LeftBehind } from './left-behind.ts';
import { readShmHeader, type ShmHeader } from './shm-header.ts';

const datasync = promisify(fdatasync);

export class LiveFiles {
  readonly #path: string;
  readonly #shm: number;
  readonly #file: number;
  readonly #wal: number;
  readonly #inode: bigint;
  readonly #shmInode: bigint;

  /** Opens them; some connection has a read transaction, so all three are there. */
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
      this.#inode = fstatSync(this.#file, { bigint: true }).ino;
      this.#shmInode = fstatSync(this.#shm, { bigint: true }).ino;
    } catch (error) {
      opened.forEach(closeSync);
      throw error;
    }
  }

  /** Permissions and owner as the file system tells them. */
  owner(): FileOwner {
    const { mode, uid, gid } = fstatSync(this.#file);
    return { mode: mode & 0o7777, uid, gid };
  }

  /**
   * True when the paths no longer lead to the files that are open: someone put another database in its place, or took
   * it away. Nothing may be checkpointed then, since old frames in a new file are a mixture of both.
   */
  replaced(): boolean {
    return inodeOf(this.#path) !== this.#inode || inodeOf(`${this.#path}-shm`) !== this.#shmInode;
  }

  /** Size and time of change of the database file; a checkpoint changes them, and little else may. */
  stamp(): string {
    const { size, mtimeNs } = fstatSync(this.#file, { bigint: true });
    return `${size} ${mtimeNs}`;
  }

  /** Bytes of the database file; fewer when it ends before. Stable only while a snapshot is held. */
  read(offset: number, length: number): Buffer {
    return readAt(this.#file, offset, length);
  }

  /** Undefined while it is being changed this very moment. */
  shmHeader(): ShmHeader | undefined {
    return readShmHeader(this.#shm);
  }

  /** Bytes of the WAL file; fewer when it ends before. */
  readWal(offset: number, length: number): Buffer {
    return readAt(this.#wal, offset, length);
  }

  /** Size of the WAL file on disk, bytes. */
  walSize(): number {
    return fstatSync(this.#wal).size;
  }

  /** Has the disk take what was written to the WAL, beside everything else. What goes wrong, a checkpoint will tell. */
  async flushWal(): Promise<void> {
    await datasync(this.#wal).catch(() => undefined);
  }

  close(): void {
    for (const fd of [this.#wal, this.#shm, this.#file]) closeSync(fd);
  }

  /** Closes all but what tells whether this WAL still lies under the path. */
  leave(): LeftBehind {
    for (const fd of [this.#wal, this.#file]) closeSync(fd);
    return new LeftBehind(this.#shm, this.#shmInode);
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
