/** A database with a table of blobs, which is what most scenes begin with. */
import Database from 'better-sqlite3';

/** Makes it in WAL mode, with `rows` rows of `size` random bytes each in one transaction; open. */
export function blobTable(path: string, rows: number, size = 2000): Database.Database {
  const db = new Database(path);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = OFF');
  db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)');
  const insert = db.prepare(`INSERT INTO t (b) VALUES (randomblob(${size}))`);
  db.transaction(() => {
    for (let i = 0; i < rows; i++) insert.run();
  })();
  return db;
}
