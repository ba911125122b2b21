/** The target file of a restore: it is checked first, written under a temporary name beside it, and renamed once it is proven. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, chown, link, lstat, open, rename, rm, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { SeawallError } from '../terms/errors.ts';
import type { FileOwner } from '../format/snapshot.ts';
import { TargetFile } from '../image/to-file/target-file.ts';

export interface TargetOptions {
  /** If true, an existing file is replaced and its `-wal`, `-journal` and `-shm` are removed. */
  readonly force: boolean;
  /** Bytes that must be free on the disk. */
  readonly needs: number;
  /** Mode and owner if no file is replaced. By default the process and its umask decide. */
  readonly owner?: () => Promise<FileOwner | undefined>;
}

/**
 * Checks that a file can be restored to `target`: its folder exists, and unless `force` is set, neither the file nor a
 * WAL or journal beside it does, because SQLite would replay that into the restored file.
 *
 * Throws `exists` (TARGET_IS_FOLDER, TARGET_EXISTS) and `local` (NO_FOLDER).
 *
 * @param target an absolute path
 */
export async function checkTarget(target: string, force: boolean): Promise<void> {
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

/**
 * Makes the file at `target`: `fill` writes it, and throws unless what it wrote is proven; then it is fsynced and given
 * its name. After any failure nothing is left at `target` or beside it.
 *
 * Throws what `fill` throws, `exists`, and `local` (disk full, no permission).
 */
export async function makeTarget<T>(
  target: string,
  { force, needs, owner: ownerOfNew }: TargetOptions,
  fill: (file: TargetFile) => Promise<T>,
): Promise<T> {
  const temporary = join(dirname(target), `.${basename(target)}.seawall-${randomBytes(6).toString('hex')}`);
  try {
    await checkSpace(dirname(target), needs);
    const owner = (await ownerOfReplaced(target)) ?? (await ownerOfNew?.());
    // Nobody else may read it before it has the rights of the original; with none known, the umask decides.
    const mode = owner === undefined ? 0o666 : 0o600;
    const file = await open(temporary, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, mode);
    let filled: T;
    try {
      const written = new TargetFile(file);
      filled = await fill(written);
      await written.settle();
      await file.sync();
    } finally {
      await file.close();
    }
    if (owner !== undefined) await setModeAndOwner(temporary, owner);
    await publish(temporary, target, force);
    return filled;
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined); // the first error is the one to report
    throw localError(error, target);
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

async function ownerOfReplaced(target: string): Promise<FileOwner | undefined> {
  const replaced = await stat(target).catch(() => undefined);
  return replaced && { mode: replaced.mode & 0o7777, uid: replaced.uid, gid: replaced.gid };
}

async function setModeAndOwner(path: string, owner: FileOwner): Promise<void> {
  // Only root may change a file's owner; otherwise the user who restores it stays the owner.
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
 * Replaces an existing file. Its WAL or journal is renamed first, because SQLite would replay it into the restored
 * file, and deleted last. If the rename of the new file fails, the old file gets its WAL or journal back.
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
