/**
 * Lambda of the tests' own: the synchronous Invoke of its REST API, over handlers that run in this process. A handler
 * that throws is answered as Lambda's Node.js runtime does, with the error's name and message alone.
 * https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from 'aws-lambda';
import { contextFor } from './stage.ts';

type Handler = (event: never, context: Context) => Promise<unknown>;

/** What Lambda itself does wrong with the next invocations. */
export type Trouble =
  /** Refuses, as by one of the API's exceptions; the function is not begun. */
  | { readonly kind: 'refusal'; readonly status: number; readonly type: string; readonly message?: string }
  /** The function fails with this in place of its answer. */
  | { readonly kind: 'failure'; readonly payload: string }
  /** The function succeeds with this in place of its answer. */
  | { readonly kind: 'answer'; readonly payload: string }
  /** The connection breaks while the function runs. */
  | { readonly kind: 'reset' }
  /** The function begins so many milliseconds later, or once the promise has resolved. */
  | { readonly kind: 'slow'; readonly latency: number | Promise<unknown> };

export interface LambdaServer extends AsyncDisposable {
  readonly endpoint: string;
  /** Payloads that functions were given, and requests that were refused, oldest first. */
  readonly invocations: unknown[];
  /** The next `times` invocations go wrong. */
  trouble(trouble: Trouble, times?: number): void;
  /** Called with each good answer before it is sent. */
  onAnswer: (answer: unknown) => void;
}

export async function startLambdaServer(functions: Readonly<Record<string, Handler>>): Promise<LambdaServer> {
  const invocations: unknown[] = [];
  const troubles: Trouble[] = [];

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const pieces: Buffer[] = [];
    for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
    const event = JSON.parse(Buffer.concat(pieces).toString()) as never;
    invocations.push(event);
    const refuse = (status: number, type: string, message = 'no'): void => {
      response.writeHead(status, { 'content-type': 'application/json', 'x-amzn-errortype': type });
      response.end(JSON.stringify({ Type: 'User', message }));
    };
    const answer = (payload: string, failed: boolean): void => {
      const headers = { 'content-type': 'application/json', 'x-amz-executed-version': '$LATEST' };
      response.writeHead(200, { ...headers, ...(failed && { 'x-amz-function-error': 'Unhandled' }) });
      response.end(payload);
    };
    const [, name] = /^\/2015-03-31\/functions\/([^/?]+)\/invocations$/.exec(request.url ?? '') ?? [];
    const called = functions[decodeURIComponent(name ?? '')];
    const trouble = troubles.shift();
    if (called === undefined) refuse(404, 'ResourceNotFoundException', `Function not found: ${name}`);
    else if (trouble?.kind === 'refusal') refuse(trouble.status, trouble.type, trouble.message);
    else if (trouble?.kind === 'failure' || trouble?.kind === 'answer') {
      answer(trouble.payload, trouble.kind === 'failure');
    } else if (trouble?.kind === 'reset') request.socket.destroy();
    else {
      if (trouble !== undefined) await (typeof trouble.latency === 'number' ? sleep(trouble.latency) : trouble.latency);
      try {
        const result = await called(event, contextFor('restore'));
        server.onAnswer(result);
        answer(JSON.stringify(result), false);
      } catch (error) {
        const { name: errorType, message: errorMessage, stack = '' } = error as Error;
        answer(JSON.stringify({ errorType, errorMessage, trace: stack.split('\n') }), true);
      }
    }
  };
  const listener = createServer((request, response) => void serve(request, response));
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const server: LambdaServer = {
    endpoint: `http://127.0.0.1:${String((listener.address() as AddressInfo).port)}`,
    invocations,
    trouble: (trouble, times = 1) => {
      for (let i = 0; i < times; i++) troubles.push(trouble);
    },
    onAnswer: () => undefined,
    async [Symbol.asyncDispose]() {
      listener.closeAllConnections();
      listener.close();
      await once(listener, 'close');
    },
  };
  return server;
}
