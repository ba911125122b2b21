import { lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

/** The path with all symbolic links followed. The file itself need not exist. */
export function followLinks(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
    return followLinks(resolve(dirname(path), readlinkSync(path)));
  }
  const folder = dirname(path);
  return folder === path ? path : join(followLinks(folder), basename(path));
}
