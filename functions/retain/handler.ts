/** Lambda's entry: the scheduled sweep over all databases, and the queue of single databases that it fills. */
import type { Context, SQSBatchResponse } from 'aws-lambda';
import { hasReplica } from '../../replica/catalogue/databases.ts';
import { retentionPolicy, type RetentionPolicy } from '../../replica/retention/policy.ts';
import { compactionPolicy } from '../compaction-policy.ts';
import { jsonSetting, openLog, openMetrics, openQueue, openRoot, overlayMemory } from '../environment.ts';
import type { FannedOut } from '../fan-out.ts';
import { sweepOrWork } from '../swept-batch.ts';
import { sweepDatabase } from './retain-database.ts';

const log = openLog('retain');
const root = openRoot();
const queue = openQueue('SEAWALL_QUEUE_URL');
const shared = {
  root,
  policy: compactionPolicy(),
  retention: retentionPolicy(jsonSetting('SEAWALL_RETENTION') as Partial<RetentionPolicy>),
  memory: overlayMemory(),
  now: Date.now,
  log,
  metrics: openMetrics(),
};

export async function handler(event: unknown, context: Context): Promise<SQSBatchResponse | FannedOut> {
  log.addContext(context);
  return sweepOrWork(event, 'sweep', {
    root,
    queue,
    isDatabase: hasReplica,
    log,
    remaining: () => context.getRemainingTimeInMillis(),
    work: (database, signal) => sweepDatabase(database, signal, shared),
  });
}
