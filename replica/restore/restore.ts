/** Restores a database into a file. The file gets its name only once it is proven. */
import { resolve } from 'node:path';
import type { ImageResult } from '../image/image-proof.ts';
import type { ImageWriteOptions } from '../image/to-file/image-writer.ts';
import { choose } from './choose.ts';
import type { Restorable } from './restorable.ts';
import { checkTarget, makeTarget } from './restore-target.ts';
import type { Store } from '../store/store.ts';
import { LATEST, type Target } from '../terms/target.ts';

/** Options of {@link restore} and their defaults. */
export interface RestoreOptions extends ImageWriteOptions {
  /** The point to restore; the latest state unless given. */
  readonly target?: Target;
  /** Replaces an existing file (and removes its `-wal` and `-shm`). Without it, an existing file is never touched. */
  readonly force?: boolean;
}

/** What {@link restore} wrote. */
export interface Restored extends ImageResult {
  /** The restored file, absolute. */
  readonly path: string;
  /** The restored state, written as a target that `restore` accepts. */
  readonly position: string;
  /** When the restored state was captured, milliseconds since 1970. */
  readonly time: number;
  /** Bytes. */
  readonly pageSize: number;
  /** Size of the file. */
  readonly bytes: number;
  /** See {@link Restorable}. */
  readonly warnings: readonly string[];
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
  return restoreState(await choose(store, options.target ?? LATEST), target, options);
}

/** Restores a state that {@link choose} found, for callers that show it before they restore it. Throws as `restore` does. */
export async function restoreState(state: Restorable, path: string, options: RestoreOptions = {}): Promise<Restored> {
  const target = resolve(path);
  const owner = state.owner(); // is read while the image is opened
  owner.catch(() => undefined); // makeTarget awaits it and reports its error
  const { bytes, write } = await state.toFile();
  const needs = bytes ?? state.base.size;
  return makeTarget(target, { force: options.force === true, needs, owner: () => owner }, async (file) => {
    const written = await write(file, options);
    const { time, warnings } = state;
    return { ...written, path: target, time, bytes: written.pages * written.pageSize, warnings };
  });
}
