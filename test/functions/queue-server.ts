/**
 * A queue server of the tests' own: SendMessageBatch in AWS's JSON protocol, and ways to make it fail. What was sent is
 * taken from `messages` by the test, which delivers it as it likes.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface QueueServer {
  readonly endpoint: string;
  /** The URL of a queue; each has its own messages. */
  url(name: string): string;
  /** Bodies sent to a queue, oldest first; the caller may empty it. */
  messages(name: string): string[];
  readonly requests: number;
  /** Refuses that many of the next entries, as a server that is overloaded or one that finds fault with them. */
  refuse(entries: number, senderFault?: boolean): void;
  close(): Promise<void>;
}

interface Entry {
  readonly Id: string;
  readonly MessageBody: string;
}

export async function startQueueServer(): Promise<QueueServer> {
  const queues = new Map<string, string[]>();
  let requests = 0;
  let refusals = { left: 0, SenderFault: false };
  const messages = (name: string): string[] => {
    const found = queues.get(name) ?? [];
    queues.set(name, found);
    return found;
  };

  const answer = (target: string | undefined, body: string): readonly [status: number, answer: unknown] => {
    requests++;
    if (target !== 'AmazonSQS.SendMessageBatch') return [400, { __type: 'com.amazonaws.sqs#UnsupportedOperation' }];
    const { QueueUrl, Entries } = JSON.parse(body) as { readonly QueueUrl: string; readonly Entries: readonly Entry[] };
    const ids = new Set(Entries.map(({ Id }) => Id));
    if (Entries.length === 0 || Entries.length > 10 || ids.size < Entries.length) {
      return [400, { __type: 'com.amazonaws.sqs#TooManyEntriesInBatchRequest' }];
    }
    const queue = messages(QueueUrl.slice(QueueUrl.lastIndexOf('/') + 1));
    const Successful: unknown[] = [];
    const Failed: unknown[] = [];
    for (const { Id, MessageBody } of Entries) {
      if (refusals.left > 0) {
        refusals.left--;
        Failed.push({ Id, SenderFault: refusals.SenderFault, Code: 'InternalError', Message: 'try again' });
        continue;
      }
      queue.push(MessageBody);
      const md5 = createHash('md5').update(MessageBody).digest('hex');
      Successful.push({ Id, MessageId: `m-${String(queue.length)}`, MD5OfMessageBody: md5 });
    }
    return [200, { Successful, Failed }];
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const pieces: Buffer[] = [];
    for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
    const target = request.headers['x-amz-target'];
    const [status, body] = answer(target?.toString(), Buffer.concat(pieces).toString());
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-requestid': 'test' });
    response.end(JSON.stringify(body));
  };
  const server = createServer((request, response) => void serve(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  return {
    endpoint,
    url: (name) => `${endpoint}/123456789012/${name}`,
    messages,
    get requests() {
      return requests;
    },
    refuse: (entries, senderFault = false) => {
      refusals = { left: entries, SenderFault: senderFault };
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
