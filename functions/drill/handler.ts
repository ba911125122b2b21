/** Lambda's entry: the scheduled drill over all databases, and the queue of single databases that it fills. */
import { tmpdir } from 'node:os';
import type { Context, SQSBatchResponse } from 'aws-lambda';
import { hasReplica } from '../../replica/catalogue/databases.ts';
import { openLog, openMetrics, openQueue, openRoot, overlayMemory } from '../environment.ts';
import type { FannedOut } from '../fan-out.ts';
import { sweepOrWork } from '../swept-batch.ts';
import { drillDatabase } from './drill-database.ts';
import { checkIntegrity } from '../../replica/restore/integrity.ts';
import { roomIn } from '../free-space.ts';

const log = openLog('drill');
const root = openRoot();
const queue = openQueue('SEAWALL_DRILL_QUEUE_URL');
const folder = tmpdir();
const shared = {
  root,
  memory: overlayMemory(),
  now: Date.now,
  random: Math.random,
  elapsed: () => performance.now(),
  integrity: { folder, room: () => roomIn(folder), check: checkIntegrity },
  log,
  metrics: openMetrics(),
};

export async function handler(event: unknown, context: Context): Promise<SQSBatchResponse | FannedOut> {
  log.addContext(context);
  return sweepOrWork(event, 'drill', {
    root,
    queue,
    log,
    isDatabase: hasReplica,
    remaining: () => context.getRemainingTimeInMillis(),
    work: (database, signal) => drillDatabase(database, signal, shared),
  });
}
