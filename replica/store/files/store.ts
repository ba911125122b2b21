/**
 * A folder as a bucket: one file per object, at the path its key names.
 *
 * What each promise of the contract rests on: objects are written under another name, fsynced, and then linked or
 * renamed to theirs, and the folder is fsynced; 'absent' is link(2); whatever replaces or removes an object holds its
 * folder's lock (files-lock.ts). ETags come from inode, size and time of change (files-root.ts), so a folder that was
 * moved to another disk has other ETags. Names beginning with `.seawall-` are ours and never listed. Symbolic links
 * below the folder are neither listed, read nor written through. Where `a` is an object, `a/b` cannot be one.
 */
import { Buffer } from 'node:buffer';
import { rm, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isKind, SeawallError } from '../../terms/errors.ts';
import { filesError, isErrno } from './errors.ts';
import { withFolderLock } from './lock.ts';
import { assertFilesKey, etagOf, FilesRoot, openObject, statObject, syncFolder } from './root.ts';
import { startFilesUpload } from './upload.ts';
import { walkFolders, walkObjects, walkReserved } from './walk.ts';
import { etagIfEqual, inFolder, parseUnfinished, publish, unfinishedPath, writeUnseen } from './write.ts';
import { assertFolder, assertPrefix, assertRange, placeRange } from '../keys.ts';
import { probeByWriting } from '../probe.ts';
import type { ReadTicket } from '../read-ticket.ts';
import { beyondObject, changedWhileRead, noObject, storeClosed } from '../store-errors.ts';
import type {
  ByteRange,
  Condition,
  CopyRange,
  DeleteOutcome,
  ObjectInfo,
  PartLimits,
  PutResult,
  Store,
  StoredObject,
  UnfinishedUpload,
  Upload,
} from '../store.ts';

const PIECE = 256 * 1024;

/** Opens a folder as a store. It is made at the first write; a folder that is not there reads as an empty store. */
export function filesStore(directory: string): Store {
  if (typeof directory !== 'string' || directory === '') {
    throw new TypeError(`directory must be a path, got ${JSON.stringify(directory)}`);
  }
  return new FilesStore(new FilesRoot(directory));
}

class FilesStore implements Store {
  readonly url: string;
  readonly limits: PartLimits = { minPart: 1, maxPart: 5 * 2 ** 30, maxParts: 10_000, minCopySource: 1 };
  readonly #root: FilesRoot;
  #closed = false;

  constructor(root: FilesRoot) {
    this.#root = root;
    this.url = root.url;
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    return this.#guard(key, async () => {
      const path = await this.#root.find(key);
      const stat = path === undefined ? undefined : await statObject(path);
      if (stat === undefined) return undefined;
      return { key, size: Number(stat.size), etag: etagOf(stat), lastModified: Number(stat.mtimeMs) };
    });
  }

  async get(key: string, range?: ByteRange): Promise<StoredObject> {
    return this.#guard(key, async () => {
      const { handle, stat, start, length } = await this.#openRange(key, range);
      try {
        const body = Buffer.allocUnsafe(length);
        for (let done = 0; done < length;) {
          const { bytesRead } = await handle.read(body, done, length - done, start + done);
          if (bytesRead === 0) throw changedWhileRead(this.url, key, etagOf(stat));
          done += bytesRead;
        }
        return { body, etag: etagOf(stat), size: Number(stat.size), lastModified: Number(stat.mtimeMs) };
      } finally {
        await handle.close();
      }
    });
  }

  async ticket(key: string, { offset }: CopyRange): Promise<ReadTicket | undefined> {
    return this.#guard(key, async () => {
      const path = await this.#root.find(key);
      return path === undefined ? undefined : { kind: 'file', path, offset };
    });
  }

  /** An object replaced meanwhile is read to its end as it was: its bytes stay with the open file. */
  async *stream(key: string, range?: ByteRange): AsyncGenerator<Buffer> {
    const { handle, stat, start, length } = await this.#guard(key, () => this.#openRange(key, range));
    const etag = etagOf(stat);
    try {
      for (let done = 0; done < length;) {
        const at = done;
        const piece = Buffer.allocUnsafe(Math.min(PIECE, length - at));
        const { bytesRead } = await this.#guard(key, () => handle.read(piece, 0, piece.length, start + at));
        if (bytesRead === 0) throw changedWhileRead(this.url, key, etag);
        done += bytesRead;
        // Before the last piece goes out, so that nobody takes an object for whole that was edited in place.
        if (done === length && etagOf(await handle.stat({ bigint: true })) !== etag) {
          throw changedWhileRead(this.url, key, etag);
        }
        yield piece.subarray(0, bytesRead);
      }
    } finally {
      await handle.close();
    }
  }

  async *list(prefix: string, after?: string): AsyncGenerator<ObjectInfo> {
    assertPrefix(prefix);
    const root = await this.#guard(undefined, () => this.#root.canonical());
    if (root === undefined) return;
    try {
      for await (const { key, stat } of walkObjects(root, prefix, after)) {
        if (this.#closed) throw storeClosed(this.url);
        yield { key, size: Number(stat.size), etag: etagOf(stat), lastModified: Number(stat.mtimeMs) };
      }
    } catch (error) {
      throw this.#translate(error);
    }
  }

  async *folders(prefix: string): AsyncGenerator<string> {
    assertFolder(prefix);
    const root = await this.#guard(undefined, () => this.#root.canonical());
    if (root === undefined) return;
    try {
      yield* walkFolders(root, prefix);
    } catch (error) {
      throw this.#translate(error);
    }
  }

  async put(key: string, body: Uint8Array, condition?: Condition): Promise<PutResult> {
    const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    return this.#guard(key, () =>
      inFolder(this.#root, key, async (target) => {
        const unseen = unfinishedPath(target, 'put');
        const etag = await writeUnseen(unseen, (handle) => handle.writeFile(bytes));
        try {
          await publish(this.#root, key, unseen, target, condition);
          return { etag };
        } catch (error) {
          const same =
            condition === 'absent' && isKind(error, 'conflict') ? await etagIfEqual(target, bytes) : undefined;
          if (same === undefined) throw error;
          await syncFolder(dirname(target)); // its writer may not have come to this yet
          return { etag: same };
        } finally {
          await rm(unseen, { force: true });
        }
      }),
    );
  }

  async upload(key: string): Promise<Upload> {
    return this.#guard(key, () => startFilesUpload(this.#root, key, this.limits));
  }

  async delete(keys: readonly string[]): Promise<DeleteOutcome[]> {
    keys.forEach(assertFilesKey);
    const failures = new Map<string, Error>();
    for (const [folder, paths] of await this.#guard(undefined, () => this.#byFolder(keys, failures))) {
      try {
        await this.#deleteIn(folder, paths, failures);
      } catch (error) {
        if (isErrno(error, 'ENOENT')) continue; // the folder itself has gone, and with it all that was in it
        for (const key of paths.keys()) if (!failures.has(key)) failures.set(key, this.#translate(error, key));
      }
    }
    return keys.map((key) => {
      const error = failures.get(key);
      return error === undefined ? { key } : { key, error };
    });
  }

  async probeConditions(probeKey: string): Promise<boolean> {
    return probeByWriting(this, probeKey);
  }

  async *unfinished(prefix: string): AsyncGenerator<UnfinishedUpload> {
    assertPrefix(prefix);
    const root = await this.#guard(undefined, () => this.#root.canonical());
    if (root === undefined) return;
    for await (const { base, name } of walkReserved(root)) {
      const found = parseUnfinished(name);
      if (found === undefined || !`${base}${found.target}`.startsWith(prefix)) continue;
      const path = join(root, base, name);
      const abort = async (): Promise<void> => {
        await rm(path, { recursive: true, force: true });
        await this.#root.prune(dirname(path));
      };
      yield { key: `${base}${found.target}`, id: found.id, started: found.started, abort };
    }
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  async #openRange(key: string, range: ByteRange | undefined) {
    if (range !== undefined) assertRange(range);
    const path = await this.#root.find(key);
    const found = path === undefined ? undefined : await openObject(path);
    if (found === undefined) throw noObject(this.url, key);
    const size = Number(found.stat.size);
    const placed = placeRange(range, size);
    if (placed !== undefined) return { ...found, ...placed };
    await found.handle.close();
    throw beyondObject(this.url, key, range ?? { suffix: 0 }, size);
  }

  /** Paths by folder and key. Keys whose folder is not there are gone already. */
  async #byFolder(keys: readonly string[], failures: Map<string, Error>): Promise<Map<string, Map<string, string>>> {
    const folders = new Map<string, Map<string, string>>();
    for (const key of new Set(keys)) {
      try {
        const path = await this.#root.find(key);
        if (path === undefined) continue;
        const folder = dirname(path);
        folders.set(folder, (folders.get(folder) ?? new Map<string, string>()).set(key, path));
      } catch (error) {
        failures.set(key, this.#translate(error, key));
      }
    }
    return folders;
  }

  async #deleteIn(folder: string, paths: ReadonlyMap<string, string>, failures: Map<string, Error>): Promise<void> {
    await withFolderLock(folder, async () => {
      for (const [key, path] of paths) {
        try {
          if ((await statObject(path)) !== undefined) await unlink(path);
        } catch (error) {
          if (!isErrno(error, 'ENOENT')) failures.set(key, this.#translate(error, key));
        }
      }
    });
    await syncFolder(folder);
    await this.#root.prune(folder);
  }

  async #guard<T>(key: string | undefined, work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw storeClosed(this.url);
    try {
      return await work();
    } catch (error) {
      throw this.#translate(error, key);
    }
  }

  #translate(error: unknown, key?: string): Error {
    const path = (error as NodeJS.ErrnoException | null)?.path ?? this.#root.directory;
    const translated = filesError(error, path, key);
    if (translated instanceof Error) return translated;
    return new SeawallError('local', 'FILES_FAILED', `${path}: ${String(error)}`, { path }, error);
  }
}
