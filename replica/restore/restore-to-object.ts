/** Restores a database into an object of a store. The object becomes visible under its key only once it is proven. */
import { isKind, SeawallError } from '../terms/errors.ts';
import type { ImageResult } from '../image/image-proof.ts';
import type { Restorable } from './restorable.ts';
import { ObjectWriter } from '../store/object-writer.ts';
import { place } from '../store/store-errors.ts';
import type { Store } from '../store/store.ts';

export interface ObjectRestoreOptions {
  /** Bytes of WAL pages held in memory. */
  readonly memory?: number;
  /** Called after each piece with the bytes done so far and the total, which is undefined if it is not known. */
  readonly onProgress?: (done: number, total: number | undefined) => void;
  /** Called with each piece of the database, in order, before it is uploaded: to write a second copy. */
  readonly tee?: (piece: Buffer, offset: number) => Promise<void>;
  /** Called after the checksum was proven and before the object becomes visible. If it throws, nothing becomes visible. */
  readonly accept?: () => Promise<void>;
}

export interface RestoredObject extends ImageResult {
  readonly key: string;
  readonly position: string;
  /** When the restored state was captured, milliseconds since 1970. */
  readonly time: number;
  readonly pageSize: number;
  readonly bytes: number;
}

/** Another program's snapshot does not say how large the database is. The parts are then sized for this many bytes. */
const UNKNOWN_SIZE_BOUND = 150 * 2 ** 30;

/**
 * Restores a chosen state into the object `key` of `target`, which must not exist. It uses no disk, and its memory does
 * not grow with the database. After a failure there is no object at the key, and the upload is aborted.
 *
 * Throws `exists`, `missing`, `point`, `corrupt`, `unreachable`, `denied`.
 */
export async function restoreToObject(
  state: Restorable,
  target: Store,
  key: string,
  options: ObjectRestoreOptions = {},
): Promise<RestoredObject> {
  if ((await target.head(key)) !== undefined) throw targetExists(target, key);
  const image = await state.open(options.memory);
  const total = image.pages === undefined ? undefined : image.pages * image.pageSize;
  const writer = new ObjectWriter(target, key, {
    headLength: 0,
    sizeBound: total ?? Math.min(UNKNOWN_SIZE_BOUND, state.base.size * 256),
  });
  try {
    let done = 0;
    for await (const block of image.blocks()) {
      await options.tee?.(block, done);
      await writer.append(block);
      done += block.length;
      options.onProgress?.(done, total);
    }
    const result = image.result();
    await options.accept?.();
    await writer.finish(Buffer.alloc(0), 'absent');
    const { position } = image;
    return { key, position, time: state.time, pageSize: image.pageSize, bytes: done, ...result };
  } catch (error) {
    // The first error is the one to report. If the abort fails, the bucket's lifecycle rule aborts the upload.
    await writer.abort().catch(() => undefined);
    throw isKind(error, 'conflict') && error.facts.key === key ? targetExists(target, key, error) : error;
  }
}

function targetExists(target: Store, key: string, cause?: unknown): SeawallError {
  const message = `${place(target.url, key)} exists and is not overwritten. Choose another key.`;
  return new SeawallError('exists', 'TARGET_EXISTS', message, { key }, cause);
}
