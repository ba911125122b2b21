/** Which file a path leads to, and which files of a database lie under their paths. */
import { statSync } from 'node:fs';

/** Device and inode of the file under a path; undefined if there is none. Links are followed. */
export function identityOf(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found && identity(found);
}

export function identity({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${dev}:${ino}`;
}

/** Identities of the three files of one database in WAL mode. */
export interface Identities<T = string> {
  readonly file: T;
  readonly wal: T;
  readonly shm: T;
}

export function identitiesUnder(path: string): Identities<string | undefined> {
  return { file: identityOf(path), wal: identityOf(`${path}-wal`), shm: identityOf(`${path}-shm`) };
}
