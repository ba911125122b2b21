import { Buffer } from 'node:buffer';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { isKind } from '../errors.ts';
import { filesError, isErrno } from './files-errors.ts';
import { BackgroundSync } from './background-sync.ts';
import { etagOf, openObject } from './files-root.ts';
import type { FilesRoot } from './files-root.ts';
import { inFolder, publish, unfinishedPath, writeUnseen } from './files-write.ts';
import { assertCopyRange } from './keys.ts';
import { beyondObject, etagDiffers, noObject, noUpload, place, sourceTooSmall } from './store-errors.ts';
import type { PartLimits, Upload } from './store.ts';
import { UploadLedger } from './upload-ledger.ts';

const PIECE = 1024 * 1024;
/** Bytes after which the disk is set to work. */
const SYNC_EVERY = 16 * 1024 * 1024;

/** A write in parts: a folder beside the target, one file per part, joined into one file at the end. */
export async function startFilesUpload(root: FilesRoot, key: string, limits: PartLimits): Promise<Upload> {
  const { folder, target } = await inFolder(root, key, async (path) => {
    const made = unfinishedPath(path, 'upload');
    await mkdir(made);
    return { folder: made, target: path };
  });
  const ledger = new UploadLedger(place(root.url, key), limits);

  /** Under another name first, so that a part written twice is one of the two. */
  const writePart = async (part: number, write: (handle: FileHandle) => Promise<void>): Promise<void> => {
    const path = partPath(folder, part);
    const unseen = `${path}.${randomUUID()}`;
    try {
      const handle = await open(unseen, 'wx');
      try {
        await write(handle);
      } finally {
        await handle.close();
      }
      await rename(unseen, path);
    } catch (error) {
      await rm(unseen, { force: true });
      if (isErrno(error, 'ENOENT')) throw noUpload(root.url, key, error);
      throw filesError(error, path, key);
    }
  };

  const drop = async (): Promise<void> => {
    if (!(await ledger.aborting())) return;
    await rm(folder, { recursive: true, force: true });
    await root.prune(dirname(folder));
  };

  return {
    key,
    put: (part, body) => ledger.part(part, body.length, () => writePart(part, (handle) => handle.writeFile(body))),
    async copy(part, source, range, etag) {
      assertCopyRange(range);
      const path = await root.find(source);
      const found = path === undefined ? undefined : await openObject(path);
      if (found === undefined) throw noObject(root.url, source);
      try {
        const actual = etagOf(found.stat);
        const size = Number(found.stat.size);
        if (actual !== etag) throw etagDiffers(root.url, source, etag, actual);
        if (range.offset + range.length > size) throw beyondObject(root.url, source, range, size);
        if (size < limits.minCopySource) throw sourceTooSmall(root.url, source, size, limits.minCopySource);
        await ledger.part(part, range.length, () =>
          writePart(part, (handle) => copyBytes(found.handle, handle, range.offset, range.length)),
        );
      } finally {
        await found.handle.close();
      }
    },
    async complete(condition) {
      const parts = ledger.toComplete();
      const whole = unfinishedPath(target, 'put');
      try {
        const etag = await writeUnseen(whole, async (handle) => {
          await appendAll(
            parts.map((part) => partPath(folder, part)),
            handle,
          );
        });
        await publish(root, key, whole, target, condition);
        ledger.completed();
        await rm(folder, { recursive: true, force: true });
        return { etag };
      } catch (error) {
        if (isKind(error, 'conflict')) await drop();
        if (isErrno(error, 'ENOENT')) throw noUpload(root.url, key, error);
        throw filesError(error, target, key);
      }
    },
    abort: drop,
  };
}

function partPath(folder: string, part: number): string {
  return join(folder, String(part).padStart(5, '0'));
}

async function appendAll(paths: readonly string[], to: FileHandle): Promise<void> {
  const sync = new BackgroundSync(to, SYNC_EVERY);
  for (const path of paths) sync.wrote(await append(path, to));
  await sync.settle();
}

/** Answers how many bytes it was. */
async function append(path: string, to: FileHandle): Promise<number> {
  const from = await open(path, 'r');
  try {
    const { size } = await from.stat();
    await copyBytes(from, to, 0, size);
    return size;
  } finally {
    await from.close();
  }
}

async function copyBytes(from: FileHandle, to: FileHandle, offset: number, length: number): Promise<void> {
  const piece = Buffer.allocUnsafe(Math.min(PIECE, length));
  for (let done = 0; done < length;) {
    const { bytesRead } = await from.read(piece, 0, Math.min(piece.length, length - done), offset + done);
    if (bytesRead === 0) throw new Error('the file became shorter while it was being read');
    await to.writeFile(piece.subarray(0, bytesRead));
    done += bytesRead;
  }
}
