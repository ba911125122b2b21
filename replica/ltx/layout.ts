/**
 * Where Litestream 0.5 keeps LTX files below a database's prefix: in a folder for each level, which S3 replicas name
 * with four hex digits (`0000/`) and others with a decimal digit below `ltx/` (`ltx/0/`).
 *
 *     <level>/<16 hex first transaction>-<16 hex last transaction>.ltx
 *
 * Level 0 holds what was shipped, levels 1 to 8 what was merged from the level below, level 9 snapshots.
 */
import { compareKeys } from '../store/keys.ts';
import type { Store } from '../store/store.ts';

export const SNAPSHOT_LEVEL = 9;

const LEVEL_FOLDER = /^(?:ltx\/([0-9])|000([0-9]))$/;
const FILE = /^([0-9a-f]{16})-([0-9a-f]{16})\.ltx$/;

/** One LTX object, as a listing shows it. */
export interface LtxRef {
  readonly key: string;
  readonly level: number;
  readonly min: number;
  readonly max: number;
  readonly size: number;
  readonly lastModified: number;
}

export interface LtxListing {
  /** By level, then first and last transaction. */
  readonly files: readonly LtxRef[];
  /** Keys in the levels' folders that do not name LTX files. */
  readonly foreign: readonly string[];
}

/** The levels' folders that exist below `base`, relative to it. */
export async function levelFolders(store: Store, base = ''): Promise<string[]> {
  const below = async (parent: string): Promise<string[]> => {
    const found: string[] = [];
    for await (const name of store.folders(base + parent)) {
      if (LEVEL_FOLDER.test(parent + name)) found.push(parent + name);
    }
    return found;
  };
  return (await Promise.all([below(''), below('ltx/')])).flat().sort(compareKeys);
}

/** Lists the objects in the levels' folders. */
export async function listLtx(store: Store): Promise<LtxListing> {
  const files: LtxRef[] = [];
  const foreign: string[] = [];
  for (const folder of await levelFolders(store)) {
    const [, plain, hex] = LEVEL_FOLDER.exec(folder)!;
    const level = Number(plain ?? hex);
    for await (const { key, size, lastModified } of store.list(`${folder}/`)) {
      const match = FILE.exec(key.slice(folder.length + 1));
      if (match === null) {
        foreign.push(key);
        continue;
      }
      const min = Number.parseInt(match[1]!, 16);
      const max = Number.parseInt(match[2]!, 16);
      files.push({ key, level, min, max, size, lastModified });
    }
  }
  files.sort((a, b) => a.level - b.level || a.min - b.min || a.max - b.max);
  return { files, foreign };
}
