/**
 * Keeps a database from being opened beside a process that uses it with other files. While a process has a database in
 * WAL mode open, its `-wal` and `-shm` lie beside it. If one of them does not, either no process has it open, or someone
 * removed the file under a process that goes on with it. A connection that is opened then makes a second one, and a
 * checkpoint by way of it destroys commits of that process.
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { identitiesUnder } from './file-identity.ts';
import { otherHolders } from './other-holders.ts';
import { isBusy, partedFiles } from './sqlite-refusals.ts';

/** Throws `refused` (WAL_FILES_REMOVED) if a process has the database open and its `-wal` or `-shm` was removed. */
export function refuseParted(path: string): void {
  const { file, wal, shm } = identitiesUnder(path);
  if (file === undefined || (wal !== undefined && shm !== undefined) || !isInWalMode(path)) return;
  if (otherHolders([file]) === 'others' || !isAlone(path)) throw partedFiles(path);
}

/**
 * True if no other process has the database open. Asks for SQLite's exclusive lock: in exclusive locking mode SQLite
 * takes it before it looks at the WAL, and needs no `-shm`. If nobody has it, SQLite brings what the WAL holds into the
 * file and removes the WAL, as whenever a database is closed.
 */
function isAlone(path: string): boolean {
  const connection = new Database(path, { fileMustExist: true, timeout: 0 });
  try {
    connection.pragma('locking_mode = EXCLUSIVE');
    connection.pragma('user_version', { simple: true });
    return true;
  } catch (error) {
    if (isBusy(error)) return false;
    throw error;
  } finally {
    connection.close();
  }
}

/** As the file's header says (https://www.sqlite.org/fileformat2.html#file_format_version_numbers). */
function isInWalMode(path: string): boolean {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0) return false;
  const versions = Buffer.alloc(2);
  const fd = openSync(path, 'r');
  try {
    readSync(fd, versions, 0, 2, 18);
  } finally {
    closeSync(fd);
  }
  return versions[0] === 2 || versions[1] === 2;
}
