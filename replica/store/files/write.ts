import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { link, lstat, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { filesError, isErrno } from './errors.ts';
import { withFolderLock } from './lock.ts';
import { etagOf, openObject, RESERVED, statObject, syncFolder, type FilesRoot } from './root.ts';
import { alreadyThere, etagDiffers } from '../store-errors.ts';
import type { Condition } from '../store.ts';

/**
 * Names of what is being written: `.seawall-put-<time, hex>-<random>~<name>` beside its target (so on the same file
 * system, and found by every store that sees the folder), `.seawall-upload-…` for an upload in parts.
 */
const UNFINISHED = /^\.seawall-(?:put|upload)-([0-9a-f]+)-([0-9a-f]{16})~(.+)$/s;
const PIECE = 256 * 1024;
/** The folder may be removed by whoever empties it, between its making and our first file in it. */
const FOLDER_ATTEMPTS = 10;

export function unfinishedPath(target: string, kind: 'put' | 'upload'): string {
  const name = `${RESERVED}${kind}-${Date.now().toString(16)}-${randomBytes(8).toString('hex')}~${basename(target)}`;
  return join(dirname(target), name);
}

export function parseUnfinished(name: string): { id: string; started: number; target: string } | undefined {
  const match = UNFINISHED.exec(name);
  if (match === null) return undefined;
  const [, time = '', id = '', target = ''] = match;
  return { id, started: Number.parseInt(time, 16), target };
}

/** Runs `make` in a key's folder, again when the folder was removed under it. */
export async function inFolder<T>(root: FilesRoot, key: string, make: (target: string) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    let target: string | undefined;
    try {
      target = await root.prepare(key);
      return await make(target);
    } catch (error) {
      if (!isErrno(error, 'ENOENT') || attempt === FOLDER_ATTEMPTS) throw error;
      if (target !== undefined) root.forget(dirname(target));
    }
  }
}

/** Writes a file that nobody looks at yet, durably, and gives it its ETag. Leaves nothing behind when it fails. */
export async function writeUnseen(path: string, write: (handle: FileHandle) => Promise<void>): Promise<string> {
  const handle = await open(path, 'wx');
  try {
    await write(handle);
    return await seal(handle);
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
}

/** Makes what was written durable, and gives it its ETag. */
export async function seal(handle: FileHandle): Promise<string> {
  // Kernel clocks tick in milliseconds, and an inode may be used again at once: random microseconds keep ETags apart.
  const seconds = (Date.now() + Math.random()) / 1000;
  await handle.utimes(seconds, seconds);
  await handle.sync();
  return etagOf(await handle.stat({ bigint: true }));
}

/**
 * Gives an unseen file its name if the condition holds, and makes that durable. The unseen name may be left, too.
 *
 * 'absent' is link(2), which fails where a file is. Everything that replaces or removes a file holds the folder's lock,
 * so that between the look at an ETag and the rename no other process comes in.
 */
export async function publish(
  root: FilesRoot,
  key: string,
  unseen: string,
  target: string,
  condition: Condition | undefined,
): Promise<void> {
  const folder = dirname(target);
  try {
    if (condition === 'absent') await linkAbsent(unseen, target);
    else {
      await withFolderLock(folder, async () => {
        if (condition !== undefined) await assertETag(root, key, target, condition.ifMatch);
        await rename(unseen, target);
      });
    }
    await syncFolder(folder);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
    if ((await lstat(target)).isDirectory())
      throw filesError(Object.assign(new Error(), { code: 'EISDIR' }), target, key);
    throw alreadyThere(root.url, key, error);
  }
}

async function assertETag(root: FilesRoot, key: string, target: string, expected: string): Promise<void> {
  const stat = await statObject(target);
  const actual = stat === undefined ? 'none' : etagOf(stat);
  if (actual !== expected) throw etagDiffers(root.url, key, expected, actual);
}

async function linkAbsent(unseen: string, target: string): Promise<void> {
  try {
    await link(unseen, target);
  } catch (error) {
    if (!isErrno(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK')) throw error;
    // A file system without hard links: the lock serves instead, since on it every writer takes this way.
    await withFolderLock(dirname(target), async () => {
      if (await exists(target)) throw Object.assign(new Error('exists'), { code: 'EEXIST' });
      await rename(unseen, target);
    });
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

/** The ETag of a file that holds exactly these bytes; undefined for any other. */
export async function etagIfEqual(path: string, bytes: Buffer): Promise<string | undefined> {
  const found = await openObject(path);
  if (found === undefined) return undefined;
  try {
    if (Number(found.stat.size) !== bytes.length) return undefined;
    const piece = Buffer.allocUnsafe(Math.min(PIECE, bytes.length));
    for (let at = 0; at < bytes.length;) {
      const { bytesRead } = await found.handle.read(piece, 0, piece.length, at);
      if (bytesRead === 0 || !piece.subarray(0, bytesRead).equals(bytes.subarray(at, at + bytesRead))) return undefined;
      at += bytesRead;
    }
    return etagOf(found.stat);
  } finally {
    await found.handle.close();
  }
}
