/** Finds the databases in a bucket. */
import { GENERATIONS } from './layout.ts';
import { isGeneration } from './position.ts';
import type { Store } from './store/store.ts';

/**
 * The prefixes below the store's root that are replicas: those with `generations/<sixteen hex digits>/` in them. In
 * byte order, without a slash at the end; `''` when the root itself is one. What lies inside a replica is not looked
 * at. One listing for each folder, and nothing is remembered of those that are done.
 */
export async function* findDatabases(store: Store, prefix = ''): AsyncGenerator<string> {
  const base = prefix === '' ? '' : `${prefix}/`;
  if (await holdsGenerations(store, base)) {
    yield prefix;
    return;
  }
  for await (const name of store.folders(base)) yield* findDatabases(store, base + name);
}

async function holdsGenerations(store: Store, base: string): Promise<boolean> {
  for await (const name of store.folders(base + GENERATIONS)) {
    if (isGeneration(name)) return true;
  }
  return false;
}
