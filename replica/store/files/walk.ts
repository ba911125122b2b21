import { lstat, readdir } from 'node:fs/promises';
import type { BigIntStats, Dirent } from 'node:fs';
import { join } from 'node:path';
import { absentAs, RESERVED } from './root.ts';
import { compareKeys } from '../keys.ts';

export interface FoundFile {
  readonly key: string;
  readonly path: string;
  readonly stat: BigIntStats;
}

/** Looked up at the same time, of consecutive files. */
const STATS_AT_ONCE = 32;

/**
 * The regular files below `root` whose keys start with `prefix` and lie after `after`, in the byte order of their keys.
 * Within a folder, a sub-folder sorts as its name with a slash: all of `a-b` comes before all of `a/…`.
 * Symlinks and special files are passed over; so is what vanishes meanwhile.
 */
export async function* walkObjects(root: string, prefix: string, after?: string): AsyncGenerator<FoundFile> {
  yield* walk(root, prefix.slice(0, prefix.lastIndexOf('/') + 1), { prefix, after });
}

interface Wanted {
  readonly prefix: string;
  readonly after: string | undefined;
}

async function* walk(root: string, base: string, wanted: Wanted): AsyncGenerator<FoundFile> {
  const entries = (await entriesOf(join(root, base)))
    .filter((entry) => !entry.name.startsWith(RESERVED) && (entry.isFile() || entry.isDirectory()))
    .map((entry) => `${base}${entry.name}${entry.isDirectory() ? '/' : ''}`)
    .filter((key) => isWanted(key, wanted))
    .sort(compareKeys);
  for (let i = 0; i < entries.length;) {
    const key = entries[i] ?? '';
    if (key.endsWith('/')) {
      yield* walk(root, key, wanted);
      i++;
      continue;
    }
    const files: string[] = [];
    while (files.length < STATS_AT_ONCE && entries[i]?.endsWith('/') === false) files.push(entries[i++] ?? '');
    for (const found of await Promise.all(files.map((file) => statFile(root, file)))) if (found) yield found;
  }
}

function isWanted(key: string, { prefix, after }: Wanted): boolean {
  const related = key.startsWith(prefix) || (key.endsWith('/') && prefix.startsWith(key));
  if (!related || after === undefined) return related;
  return compareKeys(key, after) > 0 || (key.endsWith('/') && after.startsWith(key));
}

async function statFile(root: string, key: string): Promise<FoundFile | undefined> {
  const path = join(root, key);
  const stat = await absentAs(undefined, lstat(path, { bigint: true }));
  return stat?.isFile() === true ? { key, path, stat } : undefined;
}

/** The names of the sub-folders of `root/base` that hold an object at any depth, in byte order. */
export async function* walkFolders(root: string, base: string): AsyncGenerator<string> {
  const names = (await entriesOf(join(root, base)))
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith(RESERVED))
    .map((entry) => entry.name)
    .sort(compareKeys);
  for (const name of names) {
    const walking = walkObjects(root, `${base}${name}/`);
    const first = await walking.next();
    await walking.return(undefined);
    if (first.done !== true) yield name;
  }
}

/** Our own files and folders below `root`, wherever they lie: `key` names the folder's path, `name` the entry. */
export async function* walkReserved(root: string, base = ''): AsyncGenerator<{ base: string; name: string }> {
  const folders: string[] = [];
  for (const entry of await entriesOf(join(root, base))) {
    if (entry.name.startsWith(RESERVED)) yield { base, name: entry.name };
    else if (entry.isDirectory()) folders.push(`${base}${entry.name}/`);
  }
  for (const folder of folders) yield* walkReserved(root, folder);
}

async function entriesOf(path: string): Promise<Dirent[]> {
  return await absentAs([], readdir(path, { withFileTypes: true }));
}
