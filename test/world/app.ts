/**
 * An app that does as it is told, one message at a time, and answers each with what happened: app.ts <database>. Files
 * are touched by other processes, as a shell would, because a process that closes a file drops its own locks on it.
 */
import { spawnSync } from 'node:child_process';
import Database from 'better-sqlite3';

export type Order =
  | { readonly do: 'open' }
  /** One transaction for each number. */
  | { readonly do: 'commit'; readonly from: number; readonly count: number; readonly pause?: number }
  | { readonly do: 'checkpoint'; readonly mode: string }
  /** Checkpoints until everything is in the file, for a minute at most: a reader may let go of frames only after a while. */
  | { readonly do: 'checkpoint-all' }
  | { readonly do: 'touch'; readonly command: string }
  | { readonly do: 'close' }
  | { readonly do: 'sql'; readonly sql: string };

const [path = ''] = process.argv.slice(2);
let db: Database.Database | undefined;

function carryOut(order: Order): string {
  switch (order.do) {
    case 'open':
      db = new Database(path, { timeout: 2000 });
      db.pragma('synchronous = OFF');
      // Reads, so that SQLite opens the WAL.
      return String(db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get());
    case 'commit': {
      const done: string[] = [];
      for (let i = 0; i < order.count; i++) {
        done.push(attempt(() => db!.prepare('INSERT INTO t VALUES (?, ?)').run(order.from + i, 'x'.repeat(700))));
        if (order.pause !== undefined) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, order.pause);
      }
      return done.join();
    }
    case 'checkpoint':
      db!.pragma(`wal_checkpoint(${order.mode})`);
      return 'done';
    case 'checkpoint-all': {
      const until = performance.now() + 60_000;
      while (performance.now() < until) {
        const [row] = db!.pragma('wal_checkpoint(PASSIVE)') as { busy: number; log: number; checkpointed: number }[];
        if (row?.busy === 0 && row.log === row.checkpointed) return 'done';
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
      }
      return 'frames are left';
    }
    case 'sql':
      db!.exec(order.sql);
      return 'done';
    case 'touch': {
      const { status, stderr } = spawnSync('sh', ['-ec', order.command], { encoding: 'utf8' });
      if (status !== 0) throw new Error(stderr);
      return 'done';
    }
    case 'close':
      db!.close();
      return 'done';
  }
}

function attempt(act: () => unknown): string {
  try {
    act();
    return 'ok';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

process.on('message', (order: Order) => {
  process.send?.(attempt2(order));
});

function attempt2(order: Order): string {
  try {
    return carryOut(order);
  } catch (error) {
    return `failed: ${(error as { code?: string }).code ?? String(error)}`;
  }
}
