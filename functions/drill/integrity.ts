/** SQLite's own check of a restored file. */
import { statfs } from 'node:fs/promises';

/** What SQLite finds wrong with a database file; nothing when all is well. */
export async function checkIntegrity(path: string): Promise<readonly string[]> {
  // Native code, and of this function alone: the bundles of the others stay free of it.
  const { default: Database } = await import('better-sqlite3');
  const database = new Database(path, { fileMustExist: true });
  try {
    const rows = database.pragma('integrity_check(100)') as readonly { readonly integrity_check: string }[];
    return rows.map((row) => row.integrity_check).filter((finding) => finding !== 'ok');
  } catch (error) {
    const { code, message } = error as { readonly code?: string; readonly message: string };
    if (code?.startsWith('SQLITE_CORRUPT') === true || code === 'SQLITE_NOTADB') return [message];
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
