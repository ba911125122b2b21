import { randomUUID } from 'node:crypto';
import { SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';
import { retry } from '../replica/runtime/retry.ts';
import { FunctionFailure } from './failure.ts';

/** A queue that work is sent to. */
export interface Queue {
  /**
   * Sends up to ten messages; resolves when the queue has accepted all of them. A message may arrive more than once.
   */
  send(bodies: readonly string[]): Promise<void>;
}

/** Most messages in one request. */
export const BATCH = 10;

const ATTEMPTS = 6;
const BACKOFF = { baseMs: 100, capMs: 5_000 };

/** The queue did not accept all entries of a batch; the rest is sent again. */
class LeftOver extends Error {}

export function sqsQueue(url: string, endpoint?: string): Queue {
  const client = new SQSClient({
    maxAttempts: ATTEMPTS,
    requestHandler: { connectionTimeout: 5_000, requestTimeout: 20_000, throwOnRequestTimeout: true },
    ...(endpoint !== undefined && { endpoint, useQueueUrlAsEndpoint: false }),
  });
  return {
    async send(bodies) {
      let left = bodies.map((body) => ({ Id: randomUUID(), MessageBody: body }));
      const attempt = async (): Promise<void> => {
        const { Failed = [] } = await client.send(new SendMessageBatchCommand({ QueueUrl: url, Entries: left }));
        if (Failed.length === 0) return;
        const refused = Failed.find(({ SenderFault }) => SenderFault === true);
        if (refused !== undefined) {
          const message = `the queue ${url} does not take a message: ${refused.Code} ${refused.Message}`;
          throw new FunctionFailure('refused', 'QUEUE_REFUSED', message);
        }
        const failed = new Set(Failed.map(({ Id }) => Id));
        left = left.filter(({ Id }) => failed.has(Id));
        throw new LeftOver(`the queue ${url} did not take ${left.length} messages: ${Failed[0]?.Message ?? ''}`);
      };
      try {
        await retry(attempt, { ...BACKOFF, attempts: ATTEMPTS, retryable: (error) => error instanceof LeftOver });
      } catch (error) {
        if (error instanceof LeftOver) throw new FunctionFailure('unreachable', 'QUEUE_UNREACHABLE', error.message);
        throw error;
      }
    },
  };
}
