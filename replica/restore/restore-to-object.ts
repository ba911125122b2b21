/** Restores a database into an object of a store: streamed, proven, and only then visible under its key. */
import { isKind, SeawallError } from '../terms/errors.ts';
import type { ImageResult } from '../image/image-proof.ts';
import type { Restorable } from './restorable.ts';
import { ObjectWriter } from '../store/object-writer.ts';
import { place } from '../store/store-errors.ts';
import type { Store } from '../store/store.ts';

export interface ObjectRestoreOptions {
  /** Bytes of WAL pages held in memory. */
  readonly memory?: number;
  /** Called after each piece with bytes so far and in all. */
  readonly onProgress?: (done: number, total: number | undefined) => void;
  /** Given each piece of the database as it is restored, in order; for a copy elsewhere. */
  readonly tee?: (piece: Buffer, offset: number) => Promise<void>;
  /** Called when the checksum held and before anything is visible; what it throws keeps it from becoming so. */
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

/** Snapshots of other programs do not say how large the database is; this much then fits the parts. */
const UNKNOWN_SIZE_BOUND = 150 * 2 ** 30;

/**
 * Restores a chosen state into `key` of `target`, which must not be there. Memory is bounded whatever the size, and no disk
 * is used. After a failure nothing is at the key and no upload is left behind.
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
    // The first failure is the one to tell; what cannot be aborted now, the bucket's rules abort.
    await writer.abort().catch(() => undefined);
    throw isKind(error, 'conflict') && error.facts.key === key ? targetExists(target, key, error) : error;
  }
}

function targetExists(target: Store, key: string, cause?: unknown): SeawallError {
  const message = `${place(target.url, key)} exists and is not overwritten. Choose another key.`;
  return new SeawallError('exists', 'TARGET_EXISTS', message, { key }, cause);
}
