import { constants, type BigIntStats } from 'node:fs';
import { lstat, mkdir, open, readdir, realpath, rmdir, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { SeawallError } from '../../terms/errors.ts';
import { isErrno } from './errors.ts';
import { LOCK_NAME, withFolderLock } from './lock.ts';
import { assertKey } from '../keys.ts';

/** Names of our own files begin so, in any folder: never listed, and refused in keys. */
export const RESERVED = '.seawall-';

/** The folder a files store lies in: keys to paths, and what makes folders come, last and go safely. */
export class FilesRoot {
  readonly directory: string;
  readonly url: string;
  #canonical: string | undefined;
  /** Folders known to exist durably. */
  readonly #durable = new Set<string>();

  constructor(directory: string) {
    this.directory = resolve(directory);
    this.url = pathToFileURL(this.directory).href;
  }

  /** The path without symlinks; undefined while the folder does not exist. */
  async canonical(): Promise<string | undefined> {
    this.#canonical ??= await absentAs(undefined, realpath(this.directory));
    return this.#canonical;
  }

  /** Where a key's object lies or would lie; undefined when its folder is not there, or is reached by a symlink. */
  async find(key: string): Promise<string | undefined> {
    assertFilesKey(key);
    const root = await this.canonical();
    if (root === undefined) return undefined;
    const path = join(root, key);
    const folder = dirname(path);
    return (await absentAs(undefined, realpath(folder))) === folder ? path : undefined;
  }

  /** The same for writing: makes the folders, and makes them durable. */
  async prepare(key: string): Promise<string> {
    assertFilesKey(key);
    if ((await this.canonical()) === undefined) await this.#makeDurable(this.directory);
    const root = await this.canonical();
    if (root === undefined) throw new SeawallError('local', 'FILES_FAILED', `${this.directory}: cannot be made`);
    const path = join(root, key);
    const folder = dirname(path);
    await this.#refuseSymlinks(folder);
    if (!this.#durable.has(folder)) await this.#makeDurable(folder, root);
    return path;
  }

  /** To be told that a folder vanished, so that the next `prepare` makes it again. */
  forget(folder: string): void {
    this.#durable.delete(folder);
  }

  /** Removes a folder that holds no more objects, and its parents likewise, up to the root. */
  async prune(folder: string): Promise<void> {
    const root = await this.canonical();
    for (let at = folder; root !== undefined && at.startsWith(root + sep); at = dirname(at)) {
      this.forget(at);
      try {
        if (!(await removeIfEmpty(at))) return;
      } catch (error) {
        // Only tidiness is lost: another process uses the folder, or was quicker, or it is not ours to remove.
        if (isErrno(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST', 'EACCES', 'EPERM', 'EBUSY')) return;
        throw error;
      }
    }
  }

  async #refuseSymlinks(folder: string): Promise<void> {
    for (let at = folder; ; at = dirname(at)) {
      const real = await absentAs(undefined, realpath(at));
      if (real === at) return;
      if (real === undefined) continue;
      const message = `${at}: leads out of the store by a symbolic link; nothing is written through it`;
      throw new SeawallError('refused', 'FILES_SYMLINK', message, { path: at });
    }
  }

  /** Without `top`, up to the first folder that was there already. */
  async #makeDurable(folder: string, top?: string): Promise<void> {
    const first = await makeFolder(folder);
    const last = top ?? (first === undefined ? folder : dirname(first));
    const made: string[] = [];
    for (let at = folder; ; at = dirname(at)) {
      await syncFolder(at); // ENOENT where it was removed meanwhile
      made.push(at);
      if (at === last || at === dirname(at)) break;
    }
    for (const each of made) this.#durable.add(each);
  }
}

async function makeFolder(folder: string): Promise<string | undefined> {
  try {
    return await mkdir(folder, { recursive: true });
  } catch (error) {
    // mkdir(2) says EEXIST where the last component is a file, ENOTDIR where an earlier one is: the same to us.
    if (isErrno(error, 'EEXIST')) throw Object.assign(error as Error, { code: 'ENOTDIR' });
    throw error;
  }
}

async function removeIfEmpty(folder: string): Promise<boolean> {
  const names = await readdir(folder);
  if (names.some((name) => name !== LOCK_NAME)) return false;
  if (names.length > 0) {
    const emptied = await withFolderLock(folder, async () => {
      if ((await readdir(folder)).some((name) => name !== LOCK_NAME)) return false;
      await unlink(join(folder, LOCK_NAME));
      return true;
    });
    if (!emptied) return false;
  }
  await rmdir(folder);
  return true;
}

/** @throws RangeError also for names that are ours, and for separators of other platforms. */
export function assertFilesKey(key: string): void {
  assertKey(key);
  if (key.split('/').some((component) => component.startsWith(RESERVED))) {
    throw new RangeError(`not a key: ${JSON.stringify(key)}: names that begin with "${RESERVED}" are reserved`);
  }
  if (sep !== '/' && /[\\:]/.test(key))
    throw new RangeError(`not a key here: ${JSON.stringify(key)}: it has "\\" or ":"`);
}

/** Makes entries that came, went or were renamed in a folder survive a power failure. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Opens a regular file; undefined for what is not there or is something else. */
export async function openObject(path: string): Promise<{ handle: FileHandle; stat: BigIntStats } | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  let handle: FileHandle;
  try {
    handle = await open(path, flags);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO')) return undefined;
    throw error;
  }
  const stat = await handle.stat({ bigint: true });
  if (stat.isFile()) return { handle, stat };
  await handle.close();
  return undefined;
}

/** The regular file at a path; undefined for what is not there or is something else. */
export async function statObject(path: string): Promise<BigIntStats | undefined> {
  const stat = await absentAs(undefined, lstat(path, { bigint: true }));
  return stat?.isFile() === true ? stat : undefined;
}

/**
 * From inode, size and time of change to the nanosecond. Every write makes a new file, so a write changes it; so does
 * an edit in place, and a file copied in from elsewhere.
 */
export function etagOf(stat: BigIntStats): string {
  return `"${stat.ino.toString(36)}-${stat.size.toString(36)}-${stat.mtimeNs.toString(36)}"`;
}

export async function absentAs<T, U>(value: U, looking: Promise<T>): Promise<T | U> {
  try {
    return await looking;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return value;
    throw error;
  }
}
