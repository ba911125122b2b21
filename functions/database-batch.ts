/** Works on the databases of a batch of queue messages, one after another. Returns which messages must come again. */
import type { SQSBatchResponse } from 'aws-lambda';
import { Deadline } from './deadline.ts';
import { errorFacts } from './failure.ts';
import type { Log } from './log.ts';

/** A message and the databases it is about. A message about none is done. */
export interface DatabaseMessage {
  readonly messageId: string;
  readonly databases: readonly string[];
}

export interface BatchOptions {
  readonly log: Log;
  /** Milliseconds until the function is ended. */
  readonly remaining: () => number;
  readonly margin?: number;
  /** If it throws, the messages about this database fail, and no others. It must obey the signal. */
  readonly work: (database: string, signal: AbortSignal) => Promise<void>;
}

/**
 * Each database is worked on once, however many messages name it. When the time is nearly up, the current
 * work is stopped. Its messages, and those whose databases were not reached, are left to the queue.
 */
export async function eachDatabase(
  messages: readonly DatabaseMessage[],
  options: BatchOptions,
): Promise<{ readonly failed: ReadonlySet<string> }> {
  const { log, work } = options;
  const failed = new Set<string>();
  using deadline = new Deadline(options.remaining, options.margin);
  for (const database of new Set(messages.flatMap(({ databases }) => databases))) {
    if (deadline.hasPassed()) {
      failed.add(database);
      log.warn('left to the queue: no time', { database });
      continue;
    }
    try {
      await work(database, deadline.signal);
    } catch (error) {
      failed.add(database);
      if (deadline.hasPassed()) log.warn('stopped and left to the queue: no time', { database });
      else log.error('failed', { database, ...errorFacts(error) });
    }
  }
  const hit = messages.filter(({ databases }) => databases.some((database) => failed.has(database)));
  return { failed: new Set(hit.map(({ messageId }) => messageId)) };
}

export function batchResponse(failed: Iterable<string>): SQSBatchResponse {
  return { batchItemFailures: [...new Set(failed)].map((itemIdentifier) => ({ itemIdentifier })) };
}
