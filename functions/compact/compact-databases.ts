/** Compacts the databases that a batch of notifications names. */
import type { SQSBatchResponse, SQSRecord } from 'aws-lambda';
import { compact, type CompactionPolicy } from '../../replica/compaction/compact.ts';
import { isKind } from '../../replica/terms/errors.ts';
import { scoped } from '../../replica/store/scoped.ts';
import { stoppable } from '../../replica/store/stoppable.ts';
import type { Store } from '../../replica/store/store.ts';
import { batchResponse, eachDatabase, type DatabaseMessage } from '../database-batch.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { readNotification } from './notification.ts';

export interface CompactDeps {
  /** The bucket below `rootPrefix`. */
  readonly root: Store;
  readonly bucket: string;
  /** Empty, or ending with a slash. */
  readonly rootPrefix: string;
  readonly policy: CompactionPolicy;
  /** Bytes of WAL pages held in memory. */
  readonly memory: number;
  readonly now: () => number;
  /** Milliseconds until the function is ended. */
  readonly remaining: () => number;
  readonly margin?: number;
  readonly log: Log;
  readonly metrics: Metrics;
}

export async function compactDatabases(records: readonly SQSRecord[], deps: CompactDeps): Promise<SQSBatchResponse> {
  const { bucket, rootPrefix, log } = deps;
  const messages: DatabaseMessage[] = [];
  const malformed: string[] = [];
  for (const { messageId, body } of records) {
    const notified = readNotification(body, bucket, rootPrefix);
    if (notified === undefined) {
      log.error('not a notification of S3', { messageId, body: body.slice(0, 1000) });
      malformed.push(messageId);
      continue;
    }
    for (const { key, why } of notified.ignored) log.warn('passed over', { key, why });
    messages.push({ messageId, databases: notified.databases });
  }
  const { remaining, margin } = deps;
  const { failed } = await eachDatabase(messages, {
    log,
    remaining,
    ...(margin !== undefined && { margin }),
    work: (database, signal) => compactDatabase(database, signal, deps),
  });
  return batchResponse([...malformed, ...failed]);
}

export type OneDatabaseDeps = Pick<CompactDeps, 'root' | 'policy' | 'memory' | 'now' | 'log' | 'metrics'>;

/** Compacts one database if the policy says so. A database that no longer exists is not a failure. */
export async function compactDatabase(database: string, signal: AbortSignal, deps: OneDatabaseDeps): Promise<void> {
  const { root, policy, memory, now, log, metrics } = deps;
  const store = scoped(stoppable(root, signal), database);
  const began = now();
  try {
    const outcome = await compact(store, { policy, memory, now: began });
    if (outcome.kind === 'skipped') {
      log.info('not compacted', { database, why: outcome.why });
      return;
    }
    const { key, why, how, size, copied, pages, frames } = outcome;
    metrics.count('Compactions', 1);
    const seconds = (now() - began) / 1000;
    log.info('compacted', { database, key, why, how, bytes: size, copied, pages, frames, seconds });
  } catch (error) {
    if (isKind(error, 'missing') && error.code === 'REPLICA_EMPTY') {
      log.warn('not compacted: there is no such database any more', { database });
      return;
    }
    if (!signal.aborted) metrics.count('CompactionFailed', 1);
    throw error;
  }
}
