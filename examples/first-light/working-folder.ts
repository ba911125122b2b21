/** The folder that first light works in. It is emptied each time, but only if an earlier run made it. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MARKER = '.seawall-first-light';

/** Makes an empty folder. An existing one is replaced if an earlier run made it; otherwise it is left alone. */
export function makeWorkingFolder(path: string): void {
  const marker = join(path, MARKER);
  if (existsSync(path) && !existsSync(marker) && readdirSync(path).length > 0) {
    throw new Error(`${path} is there already and was not made by an earlier run; move it, or run somewhere else`);
  }
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true });
  writeFileSync(marker, 'Made by `npm start`, which replaces this folder at its next run.\n');
}
