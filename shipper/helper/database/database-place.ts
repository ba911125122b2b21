/** Where a database really lies, and whether it can be shipped from there. */
import { accessSync, constants, readFileSync, readdirSync, statSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SeawallError } from '../../../replica/terms/errors.ts';
import { followLinks } from '../../follow-links.ts';
import type { Settings } from '../../options.ts';
import { holderOf } from './state-lock.ts';

/**
 * File systems on which SQLite's WAL is not safe, by the number that Linux's statfs(2) gives them. All processes must
 * share the memory of the wal-index and see each other's locks
 * (https://www.sqlite.org/wal.html#overview).
 */
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'SMB (CIFS)'],
  [0xfe534d42, 'SMB 2'],
  [0x65735546, 'FUSE'],
  [0x01021997, '9P'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'],
  [0x73757245, 'Coda'],
  [0x00c36400, 'Ceph'],
  [0x0bd00bd0, 'Lustre'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2'],
]);

/**
 * Resolves symbolic links in the settings, so that one database has one state folder and one lock. Throws if the
 * database cannot be shipped from there: `refused` (NETWORK_FILE_SYSTEM, HARD_LINKED, ALREADY_SHIPPED,
 * DATABASE_PATH) or `local` (DATABASE_READ_ONLY).
 */
export function placed(settings: Settings): Settings {
  const database = followLinks(settings.database);
  const stateFolder =
    settings.stateFolder === `${settings.database}-seawall` ? `${database}-seawall` : settings.stateFolder;
  refuseName(database);
  refuseLinked(database);
  refuseMountPoint(database);
  if (!settings.allowNetworkFileSystem) refuseNetwork(database, statfsSync(nearestFolder(database)).type);
  refuseReadOnly(database);
  return { ...settings, database, stateFolder };
}

/** Throws if `type`, which statfs(2) gives for the place of `database`, is a network file system. */
export function refuseNetwork(database: string, type: number): void {
  const name = NETWORK_FILE_SYSTEMS.get(type >>> 0);
  if (name === undefined) return;
  throw new SeawallError(
    'refused',
    'NETWORK_FILE_SYSTEM',
    `${database} lies on ${name}, where SQLite's WAL mode can corrupt it: put it on a local disk. If all processes that use it run on this machine and the file system shares memory and locks among them, set allowNetworkFileSystem.`,
    { path: database, actual: name },
  );
}

/** better-sqlite3 trims the path, so it would open another file. */
function refuseName(database: string): void {
  if (database === database.trim()) return;
  throw new SeawallError(
    'refused',
    'DATABASE_PATH',
    `the path ${JSON.stringify(database)} begins or ends with white space, which cannot be opened: rename the file`,
    { path: database },
  );
}

/** SQLite keeps a WAL for each name of a file, so commits through another name would be missed. */
function refuseLinked(database: string): void {
  const found = statSync(database, { throwIfNoEntry: false });
  if (found === undefined || found.nlink === 1) return;
  const folder = dirname(database);
  const others = readdirSync(folder)
    .map((name) => join(folder, name))
    .filter((path) => path !== database && statSync(path, { throwIfNoEntry: false })?.ino === found.ino);
  for (const shipped of others) {
    const holder = holderOf(`${shipped}-seawall`);
    if (holder === undefined) continue;
    throw new SeawallError(
      'refused',
      'ALREADY_SHIPPED',
      `${database} is the same file as ${shipped}, which is being shipped by process ${holder}. One database has one shipper.`,
      { path: database, actual: holder },
    );
  }
  throw new SeawallError(
    'refused',
    'HARD_LINKED',
    `${database} has ${found.nlink} names (hard links${others.length === 0 ? '' : `, ${others.join(', ')}`}). SQLite keeps a WAL for each, and commits through another name would be missed: remove all names but one.`,
    { path: database, actual: found.nlink },
  );
}

/**
 * A file that is mounted by itself (`docker -v app.db:/data/app.db`) has its WAL in another folder than the app's: SQLite
 * makes it beside each path.
 */
function refuseMountPoint(database: string): void {
  let mounts: string;
  try {
    mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  } catch {
    return; // not Linux
  }
  // The fifth word is the mount point; white space and backslashes are written in octal (proc_pid_mountinfo(5)).
  const escaped = database.replace(/[ \t\n\\]/g, (each) => `\\${each.charCodeAt(0).toString(8).padStart(3, '0')}`);
  if (!mounts.split('\n').some((line) => line.split(' ')[4] === escaped)) return;
  throw new SeawallError(
    'refused',
    'DATABASE_MOUNTED',
    `${database} is a mount point of its own, so its -wal lies in another folder than that of the process that uses the file under its other path, and commits would be missed. Mount the folder that the database lies in, not the file.`,
    { path: database },
  );
}

function refuseReadOnly(database: string): void {
  const isThere = statSync(database, { throwIfNoEntry: false }) !== undefined;
  for (const path of isThere ? [database, dirname(database)] : [nearestFolder(database)]) {
    try {
      accessSync(path, constants.R_OK | constants.W_OK);
    } catch (error) {
      throw new SeawallError(
        'local',
        'DATABASE_READ_ONLY',
        `${path} may not be written (${String((error as NodeJS.ErrnoException).code)}), and SQLite in WAL mode must write both the database and its folder`,
        { path },
        error,
      );
    }
  }
}

function nearestFolder(path: string): string {
  const folder = dirname(path);
  return folder === path || statSync(folder, { throwIfNoEntry: false }) !== undefined ? folder : nearestFolder(folder);
}
