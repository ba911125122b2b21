/** Switches a database to WAL mode. Creates it if it does not exist, unless `fileMustExist`. */
import Database from 'better-sqlite3';

export function switchToWal(path: string, fileMustExist = true): void {
  const connection = new Database(path, { fileMustExist, timeout: 5000 });
  try {
    connection.pragma('journal_mode = WAL');
  } finally {
    connection.close();
  }
}
