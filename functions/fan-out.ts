/** Sends one message to a queue for each database below the root. */
import { findDatabases, type IsDatabase } from '../replica/catalogue/databases.ts';
import { mapOrdered } from '../replica/runtime/map-ordered.ts';
import type { Store } from '../replica/store/store.ts';
import { MARGIN } from './deadline.ts';
import type { Log } from './log.ts';
import { BATCH, type Queue } from './queue.ts';

export interface FanOutOptions {
  readonly root: Store;
  readonly queue: Queue;
  readonly log: Log;
  /** What counts as a database. Default: whatever holds generations of snapshots and WAL. */
  readonly isDatabase?: IsDatabase;
  /** Only databases whose names sort after this one. Default: all. */
  readonly after?: string | undefined;
  /** Milliseconds until the function is ended. */
  readonly remaining: () => number;
  readonly margin?: number;
}

export interface FannedOut {
  readonly databases: number;
  /** Another run continues after this database. Undefined if all databases were found. */
  readonly continuedAfter: string | undefined;
}

/** Batches that are sent at the same time. */
const AHEAD = 8;

/**
 * Finds the databases and sends `{"database":…}` for each. When the time is nearly up, one more message,
 * `{"sweep":{"after":…}}`, makes another run of the function continue from there. At least one batch is sent in each
 * run, so the sweep always ends. A database may be sent twice, which is harmless.
 */
export async function fanOut(options: FanOutOptions): Promise<FannedOut> {
  const { root, queue, log, after, isDatabase, remaining, margin = MARGIN } = options;
  let databases = 0;
  const found: { last?: string; isCutShort: boolean } = { isCutShort: false };
  async function* batches(): AsyncGenerator<string[]> {
    let batch: string[] = [];
    for await (const database of findDatabases(root, '', after, isDatabase)) {
      if (remaining() < margin && found.last !== undefined) {
        found.isCutShort = true;
        return;
      }
      batch.push(database);
      if (batch.length < BATCH && remaining() >= margin) continue;
      found.last = database;
      yield batch;
      batch = [];
    }
    if (batch.length > 0) yield batch;
  }
  const send = async (batch: readonly string[]): Promise<number> => {
    await queue.send(batch.map((database) => JSON.stringify({ database })));
    return batch.length;
  };
  for await (const sent of mapOrdered(batches(), AHEAD, send)) databases += sent;
  const continuedAfter = found.isCutShort ? found.last : undefined;
  if (continuedAfter !== undefined) await queue.send([JSON.stringify({ sweep: { after: continuedAfter } })]);
  log.info('fanned out', { databases, ...(continuedAfter !== undefined && { continuedAfter }) });
  return { databases, continuedAfter };
}
