/** Restores a database to a file: streamed, proven, and only then visible under its name. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, chown, link, lstat, open, rename, rm, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { SeawallError } from './errors.ts';
import type { FileOwner } from './format/snapshot.ts';
import { openImage, type ImageResult } from './image.ts';
import { planRestore, type RestorePlan } from './plan.ts';
import { formatPosition } from './position.ts';
import { readSnapshotFacts } from './snapshot-reader.ts';
import type { Store } from './store/store.ts';
import { LATEST, type Target } from './target.ts';
import { loadTimeline } from './timeline.ts';

export interface RestoreOptions {
  /** The point to restore; the latest state unless given. */
  readonly target?: Target;
  /** Replaces an existing file (and removes its `-wal` and `-shm`). Without it, an existing file is never touched. */
  readonly force?: boolean;
  /** Bytes of WAL pages held in memory. */
  readonly memory?: number;
  /** Called now and then with bytes written so far and in all. */
  readonly onProgress?: (done: number, total: number | undefined) => void;
}

export interface Restored extends ImageResult {
  readonly path: string;
  readonly position: string;
  /** When the restored state was captured, milliseconds since 1970. */
  readonly time: number;
  readonly pageSize: number;
  readonly bytes: number;
}

/**
 * Restores into `path`. Everything is written to a temporary file beside it, compared with the checksum taken from
 * the live database, fsynced, and then given its name; after any failure nothing is left at `path` or beside it.
 *
 * Throws `exists`, `missing`, `point` (unreachable; names the nearest points), `corrupt`, `local` (disk full, no
 * permission), `unreachable`, `denied`.
 */
export async function restore(store: Store, path: string, options: RestoreOptions = {}): Promise<Restored> {
  const target = resolve(path);
  await checkTarget(target, options.force === true);
  const plan = await planRestore(store, await loadTimeline(store), options.target ?? LATEST);
  return restorePlan(store, plan, target, options);
}

/** Carries out a plan that was made before; for callers that show it first. */
export async function restorePlan(
  store: Store,
  plan: RestorePlan,
  path: string,
  options: RestoreOptions = {},
): Promise<Restored> {
  const target = resolve(path);
  const force = options.force === true;
  const image = await openImage(store, plan, options.memory === undefined ? {} : { memory: options.memory });
  const total = image.pages === undefined ? undefined : image.pages * image.pageSize;
  const temporary = join(dirname(target), `.${basename(target)}.seawall-${randomBytes(6).toString('hex')}`);
  try {
    await checkSpace(dirname(target), total ?? plan.snapshot.size);
    let done = 0;
    const owner = await ownerFor(store, plan, target);
    // Nobody else may read it before it has the rights of the original; with none known, the umask decides.
    const mode = owner === undefined ? 0o666 : 0o600;
    const file = await open(temporary, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, mode);
    try {
      for await (const block of image.blocks()) {
        await writeAll(file, block, done);
        done += block.length;
        options.onProgress?.(done, total);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    const { pages, checksum, proof, frames, walPages } = image.result();
    if (owner !== undefined) await dress(temporary, owner);
    await publish(temporary, target, force);
    return {
      path: target,
      position: formatPosition({ generation: plan.generation.id, ...image.end }),
      time: plan.time,
      pageSize: image.pageSize,
      bytes: done,
      pages,
      checksum,
      proof,
      frames,
      walPages,
    };
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined); // the first failure is the one to tell
    throw localError(error, target);
  }
}

/** Refuses a target that is there, or beside which a WAL lies that SQLite would replay into the restored file. */
async function checkTarget(target: string, force: boolean): Promise<void> {
  for (const path of [target, `${target}-wal`, `${target}-journal`]) {
    const found = await lstat(path).catch(() => undefined);
    if (found === undefined) continue;
    if (path === target && found.isDirectory()) {
      throw new SeawallError('exists', 'TARGET_IS_FOLDER', `${target} is a folder; name a file to restore into`, {
        path,
      });
    }
    if (!force) {
      const what = path === target ? `${target} exists` : `${path} exists and would be replayed into the restored file`;
      throw new SeawallError('exists', 'TARGET_EXISTS', `${what}. Choose another path, or force to replace it.`, {
        path,
      });
    }
  }
  const folder = await stat(dirname(target)).catch(() => undefined);
  if (folder?.isDirectory() !== true) {
    throw new SeawallError('local', 'NO_FOLDER', `the folder ${dirname(target)} does not exist`, {
      path: dirname(target),
    });
  }
}

async function checkSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= bytes) return;
  throw new SeawallError('local', 'DISK_FULL', `${folder} has ${bavail * bsize} bytes free and ${bytes} are needed`, {
    path: folder,
    expected: bytes,
    actual: bavail * bsize,
  });
}

async function writeAll(file: Awaited<ReturnType<typeof open>>, bytes: Buffer, position: number): Promise<void> {
  let at = 0;
  while (at < bytes.length) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}

/** Mode and owner: of the file that is replaced, else what the snapshot recorded of the original. */
async function ownerFor(store: Store, plan: RestorePlan, target: string): Promise<FileOwner | undefined> {
  const replaced = await stat(target).catch(() => undefined);
  if (replaced !== undefined) return { mode: replaced.mode & 0o7777, uid: replaced.uid, gid: replaced.gid };
  return (await readSnapshotFacts(store, plan.generation.id, plan.snapshot))?.file;
}

async function dress(path: string, owner: FileOwner): Promise<void> {
  // Only root may give files away; without that the file stays with whoever restores it.
  await chown(path, owner.uid, owner.gid).catch(() => undefined);
  await chmod(path, owner.mode);
}

async function publish(temporary: string, target: string, force: boolean): Promise<void> {
  if (force) await replace(temporary, target);
  else {
    await linkOrRename(temporary, target);
    await rm(temporary, { force: true });
  }
  const folder = await open(dirname(target), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * Takes the place of an existing file. Its WAL or journal is moved out of the way first, since SQLite would replay it
 * into the restored file, and deleted last: until the new file stands, the old one is not lost.
 */
async function replace(temporary: string, target: string): Promise<void> {
  const moved: { readonly from: string; readonly to: string }[] = [];
  try {
    for (const suffix of ['-wal', '-journal']) {
      const from = `${target}${suffix}`;
      const to = `${temporary}${suffix}`;
      if ((await lstat(from).catch(() => undefined)) === undefined) continue;
      await rename(from, to);
      moved.push({ from, to });
    }
    await rename(temporary, target);
  } catch (error) {
    for (const { from, to } of moved) await rename(to, from);
    throw error;
  }
  await rm(`${target}-shm`, { force: true });
  for (const { to } of moved) await rm(to, { force: true });
}

/** A hard link never replaces; file systems without links fall back to a check and a rename. */
async function linkOrRename(temporary: string, target: string): Promise<void> {
  try {
    await link(temporary, target);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') {
      throw new SeawallError('exists', 'TARGET_EXISTS', `${target} appeared during the restore; it was not replaced`, {
        path: target,
      });
    }
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS') throw error;
    await checkTarget(target, false);
    await rename(temporary, target);
  }
}

function localError(error: unknown, target: string): unknown {
  if (error instanceof SeawallError) return error;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return error;
  const why =
    code === 'ENOSPC' ? 'the disk is full' : code === 'EACCES' || code === 'EROFS' ? 'it cannot be written' : code;
  return new SeawallError(
    'local',
    code === 'ENOSPC' ? 'DISK_FULL' : 'TARGET_WRITE',
    `${target}: ${why}`,
    { path: target },
    error,
  );
}
