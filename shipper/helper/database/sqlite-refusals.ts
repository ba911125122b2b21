/** Errors for databases that cannot be followed. Each says what to do. */
import { closeSync, openSync, readSync } from 'node:fs';
import type Database from 'better-sqlite3';
import { SeawallError } from '../../../replica/terms/errors.ts';
import { walSum } from '../../../replica/wal/checksum.ts';
import { hasWalResetBug } from '../../wal-reset-bug.ts';

const HEADER_LENGTH = 108;
const MAGIC = 'SQLite format 3\0';
/** Kinds of b-tree pages (https://www.sqlite.org/fileformat2.html#b_tree_pages); page 1 is one after the header. */
const BTREE_PAGES = new Set([2, 5, 10, 13]);

/**
 * Refuses a file that stock SQLite cannot read, before any connection is made. An empty file is an empty database.
 * Encrypted pages could be copied unread, but the helper's own SQLite must read page 1, and sometimes write it. So
 * databases of SQLCipher or SEE are refused, even if their header is in plain text.
 */
export function checkFile(path: string): void {
  const header = Buffer.alloc(HEADER_LENGTH);
  const fd = openSync(path, 'r');
  let length: number;
  try {
    length = readSync(fd, header, 0, HEADER_LENGTH, 0);
  } finally {
    closeSync(fd);
  }
  if (length === 0) return;
  if (header.toString('latin1', 0, 16) !== MAGIC) {
    throw new SeawallError(
      'local',
      'DATABASE_NOT_SQLITE',
      `${path} does not begin like an SQLite database: it is another kind of file, or encrypted. Encrypted databases (SQLCipher, SEE) cannot be shipped; encrypt the disk and the bucket instead.`,
      { path },
    );
  }
  refuseTransformed(path, header[20]!);
  // Bytes 72 to 91 are reserved and zero.
  if (!BTREE_PAGES.has(header[100]!) || header.subarray(72, 92).some((byte) => byte !== 0)) {
    throw new SeawallError(
      'refused',
      'DATABASE_ENCRYPTED',
      `${path} has an SQLite header but page 1 cannot be read: it is encrypted (with a plain-text header), or damaged. Encrypted databases cannot be shipped; encrypt the disk and the bucket instead.`,
      { path },
    );
  }
}

/** Reserved bytes at the end of each page that the checksum VFS uses, and how many pages are looked at. */
const CHECKSUM_LENGTH = 8;
const PAGES_LOOKED_AT = 16;

/**
 * Refuses a database of SQLite's checksum VFS (https://www.sqlite.org/cksumvfs.html). It writes a sum into the reserved
 * bytes of each page when the page is written into the file. The helper's library does not: after one of its checkpoints
 * the app would read such a page and get SQLITE_IOERR_DATA. Reserved bytes alone are no sign of it, so sums are looked for.
 */
function refuseTransformed(path: string, reserved: number): void {
  if (reserved !== CHECKSUM_LENGTH) return;
  const fd = openSync(path, 'r');
  try {
    const start = Buffer.alloc(18);
    readSync(fd, start, 0, 18, 0);
    const stored = start.readUInt16BE(16);
    const page = Buffer.alloc(stored === 1 ? 65_536 : stored);
    for (let i = 0; i < PAGES_LOOKED_AT && readSync(fd, page, 0, page.length, i * page.length) === page.length; i++) {
      const sums = page.subarray(page.length - CHECKSUM_LENGTH);
      const sum = walSum('little', page.subarray(0, page.length - CHECKSUM_LENGTH));
      if (sum.s1 !== sums.readUInt32LE(0) || sum.s2 !== sums.readUInt32LE(4)) continue;
      if (sum.s1 === 0 && sum.s2 === 0) continue; // an empty page
      throw new SeawallError(
        'refused',
        'DATABASE_TRANSFORMED',
        `${path} has a checksum in each page (SQLite's checksum VFS). A checkpoint of the shipper would leave it out, and the app could not read the page. Such databases cannot be shipped: open it without that VFS, set the reserved bytes to 0 and run VACUUM; restores of Seawall prove each page by its own checksums.`,
        { path, actual: reserved },
      );
    }
  } finally {
    closeSync(fd);
  }
}

export function notWal(path: string, mode: string): SeawallError {
  return new SeawallError(
    'refused',
    'NOT_WAL',
    `${path} is in journal mode ${mode}; shipping needs WAL. Run PRAGMA journal_mode = WAL once, or set enableWal.`,
    { path, actual: mode, expected: 'wal' },
  );
}

export function staleWal(path: string): SeawallError {
  return new SeawallError(
    'refused',
    'STALE_WAL',
    `${path} was replaced, but the -wal and -shm of the former file still lie beside it, and SQLite would mix the two. Stop the app. To keep the new file, move ${path}-wal and ${path}-shm into another folder, and start the app. To have the former file back, put it under this path again before the app starts: its newest commits may be in that -wal alone.`,
    { path: `${path}-wal` },
  );
}

export function missingBesideWal(path: string): SeawallError {
  return new SeawallError(
    'missing',
    'DATABASE_MISSING',
    `${path} was moved away or removed, and its -wal and -shm still lie there. Its newest commits may be in that -wal alone: put the file back, and shipping goes on by itself.`,
    { path },
  );
}

export function overwrittenBesideWal(path: string): SeawallError {
  return new SeawallError(
    'refused',
    'STALE_WAL',
    `${path} was overwritten in place while ${path}-wal held commits that were not in the file yet, and SQLite would mix the two. The replica has these commits. To keep the new content, move ${path}-wal and ${path}-shm into another folder before the app opens the database; to keep the commits, restore the database from the replica.`,
    { path: `${path}-wal` },
  );
}

export function partedFiles(path: string): SeawallError {
  return new SeawallError(
    'refused',
    'WAL_FILES_REMOVED',
    `${path} is open in another process, and its -wal or -shm was removed or replaced meanwhile. Nothing is opened beside that process, because it would lose commits. Close the database in all processes: that brings their commits into the file, and shipping goes on by itself.`,
    { path },
  );
}

export function emptyFile(path: string): SeawallError {
  return new SeawallError(
    'refused',
    'DATABASE_EMPTY',
    `${path} was emptied; it is left alone until it holds a database again, and then followed by itself`,
    { path },
  );
}

export function beingWritten(path: string): SeawallError {
  return new SeawallError(
    'local',
    'DATABASE_CHANGING',
    `${path} is being written by something other than SQLite; it is followed by itself once it stands still and is as long as its header says`,
    { path },
  );
}

/** Refuses SQLite libraries with the WAL-reset bug. */
export function checkLibrary(connection: Database.Database): void {
  const version = connection.prepare('SELECT sqlite_version()').pluck().get() as string;
  if (!hasWalResetBug(version)) return;
  throw new SeawallError(
    'refused',
    'SQLITE_WAL_RESET_BUG',
    `SQLite ${version} can corrupt a database that one process checkpoints while another writes. Use better-sqlite3 12.8 or newer.`,
    { actual: version, expected: '3.51.3' },
  );
}

export function isBusy(error: unknown): boolean {
  const code = codeOf(error);
  return code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED');
}

/** The file does not hold what it did, or is damaged. */
export function isMalformed(error: unknown): boolean {
  const code = codeOf(error);
  return code.startsWith('SQLITE_CORRUPT') || code.startsWith('SQLITE_NOTADB');
}

/** The disk is full, or reads or writes of it fail. */
export function failsOnDisk(error: unknown): boolean {
  const code = codeOf(error);
  return code.startsWith('SQLITE_FULL') || code.startsWith('SQLITE_IOERR');
}

export function openError(path: string, error: unknown): unknown {
  if (error instanceof SeawallError) return error;
  const code = codeOf(error);
  const because = (kind: 'local' | 'refused' | 'missing', name: string, message: string): SeawallError =>
    new SeawallError(kind, name, `${path} ${message}`, { path }, error);
  if (code === 'ENOENT') return because('missing', 'DATABASE_MISSING', 'does not exist');
  if (code.startsWith('SQLITE_CANTOPEN')) {
    return because('local', 'DATABASE_OPEN', 'cannot be opened: check that it exists and may be read and written');
  }
  if (isBusy(error)) {
    return because(
      'refused',
      'DATABASE_LOCKED',
      "is locked by a connection in locking_mode=EXCLUSIVE or in a rollback journal's transaction; end it first",
    );
  }
  if (failsOnDisk(error))
    return because('local', 'DATABASE_DISK', `cannot be opened, the disk fails: ${String(error)}`);
  if (code.startsWith('SQLITE_READONLY') || code === 'EACCES') {
    return because('local', 'DATABASE_READ_ONLY', 'lies on read-only media, or its folder may not be written');
  }
  return because('local', 'DATABASE_OPEN', `cannot be opened: ${String(error)}`);
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' ? code : '';
}
