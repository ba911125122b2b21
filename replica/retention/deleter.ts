/** Deletes what a plan names, checks by a listing that it is gone, and stops if going on would do harm. */
import { SeawallError } from '../terms/errors.ts';
import type { Store } from '../store/store.ts';

/** Most keys of one request; S3 takes no more. */
const BATCH = 1000;

/** An object that was not deleted. */
export interface Failure {
  /** Its key, relative to the replica. */
  readonly key: string;
  /** Stable code of the reason. */
  readonly code: string;
  /** The reason, for people. */
  readonly message: string;
}

export interface Deletion {
  /** Keys that a listing afterwards no longer shows. */
  readonly gone: readonly string[];
  /** Keys that stay because the store refuses: Object Lock, a legal hold. They are deleted when the lock has expired. */
  readonly refused: readonly Failure[];
  /** Keys that the store reported as deleted and that are still there. */
  readonly remained: readonly Failure[];
  /** Why it stopped before the end; undefined if every key was tried. */
  readonly stopped: SeawallError | undefined;
}

interface Item {
  readonly key: string;
  readonly generation: string;
}

/**
 * Deletes in the given order, generation after generation. If a key is refused, the rest of its generation is left for
 * the next sweep, so that no older WAL is deleted while newer WAL stays. The first failure of another kind (permissions,
 * network) ends the deletion.
 */
export async function deleteInOrder(store: Store, items: readonly Item[]): Promise<Deletion> {
  const said = new Set<string>();
  const refused: Failure[] = [];
  let stopped: SeawallError | undefined;
  for (const [generation, keys] of byGeneration(items)) {
    for (let at = 0; at < keys.length && stopped === undefined; at += BATCH) {
      const batch = await deleteBatch(store, keys.slice(at, at + BATCH));
      for (const key of batch.deleted) said.add(key);
      for (const each of batch.refused) refused.push(each);
      stopped = batch.failed === undefined ? undefined : stop(batch.failed, generation, said.size);
      if (batch.refused.length > 0) break;
    }
    if (stopped !== undefined) break;
  }
  const left = await listed(store, new Set(items.map(({ generation }) => generation)));
  const remained = [...said].filter((key) => left.has(key)).map(unmoved);
  return { gone: [...said].filter((key) => !left.has(key)), refused, remained, stopped };
}

function byGeneration(items: readonly Item[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const { key, generation } of items) {
    const keys = groups.get(generation);
    if (keys === undefined) groups.set(generation, [key]);
    else keys.push(key);
  }
  return groups;
}

async function deleteBatch(
  store: Store,
  keys: readonly string[],
): Promise<{ readonly deleted: readonly string[]; readonly refused: readonly Failure[]; readonly failed: unknown }> {
  const deleted: string[] = [];
  const refused: Failure[] = [];
  let failed: unknown;
  try {
    for (const { key, error } of await store.delete(keys)) {
      if (error === undefined) deleted.push(key);
      else if (isLock(error)) refused.push({ key, code: 'OBJECT_LOCKED', message: error.message });
      else failed ??= error;
    }
  } catch (error) {
    failed = error;
  }
  return { deleted, refused, failed };
}

/**
 * Stores use the same code for locks and for missing permissions; only their message differs. What it quotes counts for
 * nothing, because buckets, keys and actions may be called anything: `arn:aws:s3:::worm/retention.db`.
 */
function isLock(error: Error): boolean {
  if (!(error.cause instanceof Error)) return false;
  const words = error.cause.message.replace(/"[^"]*"|'[^']*'|\S*[:/]\S*/g, ' ');
  return /object[ -]?lock|legal hold|retention|worm|immutab/i.test(words);
}

function stop(error: unknown, generation: string, done: number): SeawallError {
  if (!(error instanceof SeawallError)) throw error;
  const after = `stopped in generation ${generation} after ${done} deletions`;
  const mend = error.kind === 'denied' ? ' Retention needs permission to delete (s3:DeleteObject).' : '';
  return new SeawallError(error.kind, 'RETENTION_STOPPED', `${after}: ${error.message}.${mend}`, error.facts, error);
}

async function listed(store: Store, generations: ReadonlySet<string>): Promise<Set<string>> {
  const keys = new Set<string>();
  for (const generation of generations) {
    for await (const { key } of store.list(`generations/${generation}/`)) keys.add(key);
  }
  return keys;
}

function unmoved(key: string): Failure {
  const message = `${key}: the store reported it as deleted, and it is still there`;
  return { key, code: 'DELETE_HAD_NO_EFFECT', message };
}
