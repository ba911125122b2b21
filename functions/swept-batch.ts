/**
 * An invocation of a function that is scheduled, to send a message for each database, and that also receives those
 * messages.
 */
import type { SQSBatchResponse } from 'aws-lambda';
import { batchResponse, eachDatabase, type BatchOptions, type DatabaseMessage } from './database-batch.ts';
import { errorFacts } from './failure.ts';
import { fanOut, type FannedOut, type FanOutOptions } from './fan-out.ts';
import { isScheduled, parseTask, queueMessages, unknownEvent } from './sqs-event.ts';

export type SweptOptions = BatchOptions & Omit<FanOutOptions, 'after'>;

/** @param word the scheduler sends `{"seawall":word}` */
export async function sweepOrWork(
  event: unknown,
  word: string,
  options: SweptOptions,
): Promise<SQSBatchResponse | FannedOut> {
  if (isScheduled(event, word)) return fanOut(options);
  const records = queueMessages(event);
  if (records === undefined) throw unknownEvent(`{"seawall":"${word}"}`);
  const messages: DatabaseMessage[] = [];
  const failed: string[] = [];
  for (const { messageId, body } of records) {
    const task = parseTask(body);
    if (task?.kind === 'database') messages.push({ messageId, databases: [task.database] });
    else if (task?.kind === 'sweep') {
      try {
        await fanOut({ ...options, after: task.after });
      } catch (error) {
        options.log.error('the sweep could not be continued', { ...task, ...errorFacts(error) });
        failed.push(messageId);
      }
    } else {
      options.log.error('not a task of ours', { messageId, body: body.slice(0, 1000) });
      failed.push(messageId);
    }
  }
  const worked = await eachDatabase(messages, options);
  return batchResponse([...failed, ...worked.failed]);
}
