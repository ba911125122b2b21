/**
 * One lock per folder, across processes, for the few writes that must look before they replace.
 *
 * The lock is SQLite's own lock on an empty file, `.seawall-lock`: the kernel holds it and frees it when its owner
 * dies, so there is no staleness to guess, and processes in different containers that share a folder exclude each
 * other too. The file stays empty. Where the file system has no POSIX locks (some network mounts), locking fails with
 * an error rather than silently.
 */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { SeawallError } from '../../terms/errors.ts';
import { retry } from '../../runtime/retry.ts';

export const LOCK_NAME = '.seawall-lock';

const SQLITE_BUSY = 5;
/** Sections take milliseconds; whoever waits this long waits for something that hangs. */
const PATIENCE_MS = 30_000;

/** Tails of the queues within this process, by folder: they keep our own sections from polling each other. */
const queues = new Map<string, Promise<unknown>>();

/**
 * Runs `section` while no other holder of the folder's lock runs, in this process or another.
 * `folder` is a canonical path; ENOENT when it is not there (any more).
 */
export async function withFolderLock<T>(folder: string, section: () => Promise<T>): Promise<T> {
  const before = queues.get(folder) ?? Promise.resolve();
  const mine = before.then(() => locked(folder, section));
  const settled = mine.catch(() => undefined);
  queues.set(folder, settled);
  try {
    return await mine;
  } finally {
    if (queues.get(folder) === settled) queues.delete(folder);
  }
}

async function locked<T>(folder: string, section: () => Promise<T>): Promise<T> {
  const { DatabaseSync } = await import('node:sqlite');
  const path = join(folder, LOCK_NAME);
  const deadline = performance.now() + PATIENCE_MS;
  const waiting = {
    attempts: Number.POSITIVE_INFINITY,
    baseMs: 1,
    capMs: 50,
    retryable: (error: unknown) => isBusy(error) && performance.now() < deadline,
  };
  let holder: DatabaseSync;
  try {
    holder = await retry(() => acquire(DatabaseSync, path), waiting);
  } catch (error) {
    await lstat(folder); // ENOENT here says more than SQLite's "unable to open"
    const why = isBusy(error) ? `held by another process for ${PATIENCE_MS / 1000} s` : (error as Error).message;
    throw new SeawallError('local', 'FILES_LOCK', `${path}: cannot take the folder's lock: ${why}`, { path }, error);
  }
  try {
    return await section();
  } finally {
    holder.close();
  }
}

class LockReplaced extends Error {}

async function acquire(Database: typeof DatabaseSync, path: string): Promise<DatabaseSync> {
  const before = await inodeOf(path);
  const holder = new Database(path, { timeout: 0 });
  try {
    // In memory, or SQLite lays a journal beside the file, and a killed process leaves it there.
    holder.exec('PRAGMA journal_mode = MEMORY');
    holder.exec('BEGIN EXCLUSIVE');
    // Whoever empties a folder removes its lock file under the lock: the one we hold must still be the one at the path.
    if (before === undefined || (await inodeOf(path)) !== before) throw new LockReplaced();
    return holder;
  } catch (error) {
    holder.close();
    throw error;
  }
}

async function inodeOf(path: string): Promise<bigint | undefined> {
  try {
    return (await lstat(path, { bigint: true })).ino;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof LockReplaced || (error as { errcode?: number }).errcode === SQLITE_BUSY;
}
