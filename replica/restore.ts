/** Restores a database to a file: streamed, proven, and only then visible under its name. */
import { resolve } from 'node:path';
import type { ImageResult } from './image-proof.ts';
import { writeImage, type ImageWriteOptions } from './image-writer.ts';
import { planRestore, type RestorePlan } from './plan.ts';
import { formatPosition } from './position.ts';
import { checkTarget, makeTarget } from './restore-target.ts';
import { openSnapshot, readSnapshotFacts } from './snapshot-reader.ts';
import type { Store } from './store/store.ts';
import { LATEST, type Target } from './target.ts';
import { loadTimeline } from './timeline.ts';

export interface RestoreOptions extends ImageWriteOptions {
  /** The point to restore; the latest state unless given. */
  readonly target?: Target;
  /** Replaces an existing file (and removes its `-wal` and `-shm`). Without it, an existing file is never touched. */
  readonly force?: boolean;
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
  const snapshot = await openSnapshot(store, plan.generation.id, plan.snapshot);
  const { facts } = snapshot;
  const pages = plan.proof?.state.pages ?? facts?.pages;
  return makeTarget(
    target,
    {
      force: options.force === true,
      needs: pages === undefined || facts === undefined ? plan.snapshot.size : pages * facts.pageSize,
      // What the snapshot recorded of the original.
      owner: async () => (await readSnapshotFacts(store, plan.generation.id, plan.snapshot))?.file,
    },
    async (file) => {
      const { end, ...written } = await writeImage(store, plan, snapshot, file, options);
      return {
        ...written,
        path: target,
        position: formatPosition({ generation: plan.generation.id, ...end }),
        time: plan.time,
        bytes: written.pages * written.pageSize,
      };
    },
  );
}
