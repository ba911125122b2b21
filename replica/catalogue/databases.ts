/** Finds the databases in a bucket. */
import { GENERATIONS } from '../terms/layout.ts';
import { mapOrdered } from '../runtime/map-ordered.ts';
import { levelFolders } from '../ltx/layout.ts';
import { isGeneration } from '../terms/position.ts';
import { compareKeys } from '../store/keys.ts';
import type { Store } from '../store/store.ts';

/** Folders looked into at a time. */
const AHEAD = 16;

/**
 * The prefixes below the store's root that are replicas: those with `generations/<sixteen hex digits>/` in them, or
 * what `isDatabase` takes for one. In
 * byte order of their path components, without a slash at the end; `''` when the root itself is one. What lies inside
 * a replica is not looked at. One listing for each folder, and nothing is remembered of those that are done.
 *
 * @param after only databases that come later than this one in that order, so that a search can be taken up again
 */
export async function* findDatabases(
  store: Store,
  prefix = '',
  after?: string,
  isDatabase: IsDatabase = hasGenerations,
): AsyncGenerator<string> {
  const base = prefix === '' ? '' : `${prefix}/`;
  if (await isDatabase(store, base)) {
    if (after === undefined || comparePaths(prefix, after) > 0) yield prefix;
  } else yield* databasesBelow(store, base, after, isDatabase);
}

/**
 * Whether a folder is a replica.
 *
 * @param base '', or a folder with a slash at its end
 */
export type IsDatabase = (store: Store, base: string) => Promise<boolean>;

/** Generations, or LTX files of Litestream 0.5. */
export async function hasReplica(store: Store, base = ''): Promise<boolean> {
  return (await hasGenerations(store, base)) || (await levelFolders(store, base)).length > 0;
}

async function* databasesBelow(
  store: Store,
  base: string,
  after: string | undefined,
  isDatabase: IsDatabase,
): AsyncGenerator<string> {
  const looked = mapOrdered(pathsFrom(store, base, after), AHEAD, async (path) => ({
    path,
    found: await isDatabase(store, `${path}/`),
  }));
  for await (const { path, found } of looked) {
    if (!found) yield* databasesBelow(store, `${path}/`, after, isDatabase);
    else if (after === undefined || comparePaths(path, after) > 0) yield path;
  }
}

/** The folders below `base` in which a path behind `after` may lie. */
async function* pathsFrom(store: Store, base: string, after: string | undefined): AsyncGenerator<string> {
  for await (const name of store.folders(base)) {
    const path = base + name;
    if (after !== undefined && comparePaths(path, startOf(after, path)) < 0) continue;
    yield path;
  }
}

/** As many components of `path` as `like` has. */
function startOf(path: string, like: string): string {
  return path.split('/').slice(0, like.split('/').length).join('/');
}

function comparePaths(a: string, b: string): number {
  const left = a.split('/');
  const right = b.split('/');
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = compareKeys(left[i]!, right[i]!);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

/** Generations of snapshots and WAL: what can be compacted and retained. */
export async function hasGenerations(store: Store, base = ''): Promise<boolean> {
  for await (const name of store.folders(base + GENERATIONS)) {
    if (isGeneration(name)) return true;
  }
  return false;
}
