/** One face for the SQLite libraries a writer may use. */
export interface Connection {
  exec(sql: string): void;
  all(sql: string, ...values: (string | number)[]): Record<string, unknown>[];
  inTransaction(): boolean;
  close(): void;
}

export async function open(library: string, path: string): Promise<Connection> {
  if (library === 'node:sqlite') {
    const { DatabaseSync } = await import('node:sqlite');
    const db = new DatabaseSync(path, { timeout: 5000 });
    return {
      exec: (sql) => {
        db.exec(sql);
      },
      all: (sql, ...values) => db.prepare(sql).all(...values),
      inTransaction: () => db.isTransaction,
      close: () => {
        db.close();
      },
    };
  }
  const { default: Database } = await import('better-sqlite3');
  const db = new Database(path);
  return {
    exec: (sql) => {
      db.exec(sql);
    },
    all: (sql, ...values) => db.prepare(sql).all(...values) as Record<string, unknown>[],
    inTransaction: () => db.inTransaction,
    close: () => {
      db.close();
    },
  };
}
