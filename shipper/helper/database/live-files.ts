/**
 * The files of a live database, read without SQLite: the database, its WAL and its WAL index.
 *
 * A process loses its POSIX locks on a file when it closes any descriptor of that file. So these are opened after the
 * first connection and closed after the last.
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
      this.#inode = fstatSync(this.#file, { bigint: true }).ino;
      this.#shmInode = fstatSync(this.#shm, { bigint: true }).ino;
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

  /**
   * True if the paths no longer lead to the open files: another file took the place, or the file is gone. Then nothing
   * may be checkpointed, because old frames would be copied into a new file.
   */
  replaced(): boolean {
    return inodeOf(this.#path) !== this.#inode || inodeOf(`${this.#path}-shm`) !== this.#shmInode;
  }

  /** Size and time of change of the database file; a checkpoint changes them, and little else may. */
  stamp(): string {
    const { size, mtimeNs } = fstatSync(this.#file, { bigint: true });
    return `${size} ${mtimeNs}`;
  }

  /** Bytes of the database file; fewer if it ends earlier. Stable only while a snapshot is held. */
  read(offset: number, length: number): Buffer {
    return readAt(this.#file, offset, length);
  }

  /** Undefined if a writer is changing it at this moment. */
  shmHeader(): ShmHeader | undefined {
    return readShmHeader(this.#shm);
  }

  /** Bytes of the WAL file; fewer if it ends earlier. */
  readWal(offset: number, length: number): Buffer {
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
    for (const fd of [this.#wal, this.#shm, this.#file]) closeSync(fd);
  }

  /** Closes all but the descriptor that tells whether this WAL still lies beside the path. */
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
