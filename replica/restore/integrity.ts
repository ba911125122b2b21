/** SQLite's own check of a restored file, by the runtime's SQLite: bundles need no native code for it. */
import { DatabaseSync } from 'node:sqlite';
import { SeawallError } from '../terms/errors.ts';

/** What SQLite's error codes, without their extended part, say of a file that is no sound database. */
const UNSOUND = new Set([11 /* SQLITE_CORRUPT */, 26 /* SQLITE_NOTADB */]);

/**
 * What SQLite finds wrong with a database file that nobody uses; nothing if all is well. Throws `unsupported`
 * (INTEGRITY_CHECK) if the check could not run.
 */
export async function checkIntegrity(path: string): Promise<readonly string[]> {
  await Promise.resolve();
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    const rows = database.prepare('PRAGMA integrity_check(100)').all() as { readonly integrity_check: string }[];
    return rows.map((row) => row.integrity_check).filter((finding) => finding !== 'ok');
  } catch (error) {
    const { errcode, message } = error as { readonly errcode?: number; readonly message: string };
    if (errcode !== undefined && UNSOUND.has(errcode & 0xff)) return [message];
    const why = `the integrity check could not run: ${message}`;
    throw new SeawallError('unsupported', 'INTEGRITY_CHECK', why, { path }, error);
  } finally {
    database?.close();
  }
}
