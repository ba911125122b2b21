/**
 * Exclusive locks on files. A locked file is a small SQLite database in exclusive locking mode, so the system drops the
 * lock however the process dies.
 *
 * Many locks share a connection: one for each lock would cost some 70 KiB, an attached file costs a tenth of that.
 */
import Database from 'better-sqlite3';

/** SQLite's own limit, unless it was built for more. */
const MOST_ATTACHED = 10;

interface Holder {
  readonly connection: Database.Database;
  /** Free names of attached databases. */
  readonly free: string[];
}

let holders: Holder[] = [];

/**
 * Locks the file and returns how to release it; undefined if another process has the lock. Throws if the file cannot be
 * used.
 */
export function lockFile(path: string): (() => void) | undefined {
  const holder = holders.find(({ free }) => free.length > 0) ?? makeHolder();
  const name = holder.free.pop()!;
  const { connection } = holder;
  const release = (): void => {
    if (connection.prepare('SELECT 1 FROM pragma_database_list WHERE name = ?').get(name) !== undefined) {
      connection.exec(`DETACH ${name}`);
    }
    holder.free.push(name);
    if (holder.free.length < MOST_ATTACHED) return;
    connection.close();
    holders = holders.filter((each) => each !== holder);
  };
  try {
    connection.prepare(`ATTACH ? AS ${name}`).run(path);
    connection.pragma(`${name}.journal_mode = MEMORY`);
    connection.pragma(`${name}.locking_mode = EXCLUSIVE`);
    connection.pragma(`${name}.user_version = 1`); // the first write takes the lock, for good
    connection.pragma(`${name}.cache_size = 1`);
    connection.pragma('shrink_memory');
    return release;
  } catch (error) {
    release();
    if ((error as { code?: string }).code?.startsWith('SQLITE_BUSY') === true) return undefined;
    throw error;
  }
}

function makeHolder(): Holder {
  const names = Array.from({ length: MOST_ATTACHED }, (_, i) => `lock${i}`);
  const holder = { connection: new Database(':memory:', { timeout: 0 }), free: names };
  holders.push(holder);
  return holder;
}
