/** Lambda's entry: compacts a database. S3 invokes it through a queue when an index of the database is complete. */
import type { Context, SQSBatchResponse } from 'aws-lambda';
import { compactionPolicy } from '../compaction-policy.ts';
import { openLog, openMetrics, openRoot, overlayMemory, setting } from '../environment.ts';
import { queueMessages, unknownEvent } from '../sqs-event.ts';
import { compactDatabases } from './compact-databases.ts';

const log = openLog('compact');
const shared = {
  root: openRoot(),
  bucket: setting('SEAWALL_BUCKET'),
  rootPrefix: setting('SEAWALL_ROOT', ''),
  policy: compactionPolicy(),
  memory: overlayMemory(),
  now: Date.now,
  log,
  metrics: openMetrics(),
};

export async function handler(event: unknown, context: Context): Promise<SQSBatchResponse> {
  log.addContext(context);
  const messages = queueMessages(event);
  if (messages === undefined) throw unknownEvent('nothing else');
  return compactDatabases(messages, { ...shared, remaining: () => context.getRemainingTimeInMillis() });
}
