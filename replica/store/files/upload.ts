import { Buffer } from 'node:buffer';
import { constants } from 'node:fs';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isKind } from '../../terms/errors.ts';
import { filesError, isErrno } from './errors.ts';
import { etagOf, openObject, type FilesRoot } from './root.ts';
import { inFolder, publish, seal, unfinishedPath } from './write.ts';
import { assertCopyRange } from '../keys.ts';
import { beyondObject, etagDiffers, noObject, noUpload, place, sourceTooSmall } from '../store-errors.ts';
import type { PartLimits, Upload } from '../store.ts';
import { UploadLedger } from '../upload-ledger.ts';

const PIECE = 1024 * 1024;
/** Bytes after which the disk is set to work: left to itself, the system would not begin before the end. */
const SYNC_EVERY = 16 * 1024 * 1024;

/** A write in parts: one file beside the target, into which each part goes at its place, so that nothing is joined. */
export async function startFilesUpload(root: FilesRoot, key: string, limits: PartLimits): Promise<Upload> {
  const { unseen, target } = await inFolder(root, key, async (path) => {
    const made = unfinishedPath(path, 'upload');
    await (await open(made, 'wx')).close();
    return { unseen: made, target: path };
  });
  const ledger = new UploadLedger(place(root.url, key), limits);
  let unsynced = 0;

  /** Opens the file each time, so that it is noticed when the upload was aborted from elsewhere. */
  const withFile = async <T>(work: (handle: FileHandle) => Promise<T>): Promise<T> => {
    try {
      const handle = await open(unseen, constants.O_WRONLY);
      try {
        return await work(handle);
      } finally {
        await handle.close();
      }
    } catch (error) {
      if (isErrno(error, 'ENOENT')) throw noUpload(root.url, key, error);
      throw filesError(error, unseen, key);
    }
  };

  /** Whoever comes to enough waits for the disk, and others write on meanwhile. */
  const syncNowAndThen = async (handle: FileHandle, written: number): Promise<void> => {
    unsynced += written;
    if (unsynced < SYNC_EVERY) return;
    unsynced = 0;
    await handle.datasync();
  };

  const drop = async (): Promise<void> => {
    if (!(await ledger.aborting())) return;
    await rm(unseen, { force: true });
    await root.prune(dirname(unseen));
  };

  return {
    key,
    put: (part, at, body) =>
      ledger.part(part, at, body.length, () =>
        withFile(async (handle) => {
          await writeAll(handle, body, at);
          await syncNowAndThen(handle, body.length);
        }),
      ),
    async copy(part, at, source, range, etag) {
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
        await ledger.part(part, at, range.length, () =>
          withFile(async (handle) => {
            for await (const { piece, done } of pieces(found.handle, range.offset, range.length)) {
              await writeAll(handle, piece, at + done);
              await syncNowAndThen(handle, piece.length);
            }
          }),
        );
      } finally {
        await found.handle.close();
      }
    },
    async complete(condition) {
      const { size } = ledger.toComplete();
      try {
        const etag = await withFile(async (handle) => {
          await handle.truncate(size); // a last part that failed half-way may have been left out
          return seal(handle);
        });
        await publish(root, key, unseen, target, condition);
        ledger.completed();
        await rm(unseen, { force: true });
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

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

/** A range of a file, in pieces whose memory is used again. */
async function* pieces(
  from: FileHandle,
  offset: number,
  length: number,
): AsyncGenerator<{ readonly piece: Buffer; readonly done: number }> {
  const memory = Buffer.allocUnsafe(Math.min(PIECE, length));
  for (let done = 0; done < length;) {
    const { bytesRead } = await from.read(memory, 0, Math.min(memory.length, length - done), offset + done);
    if (bytesRead === 0) throw new Error('the file became shorter while it was being read');
    yield { piece: memory.subarray(0, bytesRead), done };
    done += bytesRead;
  }
}
