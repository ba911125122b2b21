/** SQLite's own check of a restored file, by the SQLite of the runtime: bundles need no native code for it. */
import { statfs } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';

/** What SQLite's error codes, without their extended part, say of a file that is no sound database. */
const UNSOUND = new Set([11 /* SQLITE_CORRUPT */, 26 /* SQLITE_NOTADB */]);

/** What SQLite finds wrong with a database file; nothing when all is well. Throws when it could not look. */
export async function checkIntegrity(path: string): Promise<readonly string[]> {
  await Promise.resolve();
  const database = new DatabaseSync(path);
  try {
    const rows = database.prepare('PRAGMA integrity_check(100)').all() as { readonly integrity_check: string }[];
    return rows.map((row) => row.integrity_check).filter((finding) => finding !== 'ok');
  } catch (error) {
    const { errcode, message } = error as { readonly errcode?: number; readonly message: string };
    if (errcode !== undefined && UNSOUND.has(errcode & 0xff)) return [message];
    throw error;
  } finally {
    database.close();
  }
}

/** Free bytes. */
export async function roomIn(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
