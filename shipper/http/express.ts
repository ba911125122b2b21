/** Middleware for Express, Connect, and any framework on Node's own responses. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { DurableWait, NOT_DURABLE, type DurableResponsesOptions, type DurableSource } from './wait.ts';

/** Middleware in the form of Express and Connect. */
export type NodeMiddleware = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * Holds the response to a write until what was committed before it is in the replica, with the ordinary next upload: no
 * request to the store is added. At the time limit, or when shipping has ended, the answer is 503 with the code
 * NOT_DURABLE; a response whose body has begun already is cut off instead.
 *
 * ```ts
 * app.use(durableExpress(shipper));
 * ```
 */
export function durableExpress(shipper: DurableSource, options?: DurableResponsesOptions): NodeMiddleware {
  const wait = new DurableWait(shipper, options);
  return (request, response, next) => {
    hold(request, response, wait);
    next();
  };
}

function hold(request: IncomingMessage, response: ServerResponse, wait: DurableWait): void {
  // As other middleware has left them.
  const original = {
    end: response.end.bind(response),
    write: response.write.bind(response),
    writeHead: response.writeHead.bind(response),
  };
  const call = (name: keyof typeof original, args: readonly unknown[]): unknown =>
    Reflect.apply(original[name] as (...args: readonly unknown[]) => unknown, response, args);
  let head: readonly unknown[] | undefined;
  let ended = false;
  const sendHead = (): void => {
    if (head !== undefined) call('writeHead', head);
    head = undefined;
  };
  const finish = (durable: boolean, args: readonly unknown[]): void => {
    Object.assign(response, original);
    if (durable) {
      sendHead();
      call('end', args);
    } else if (response.headersSent) response.destroy();
    else refuse(response);
  };
  Object.assign(response, {
    // The head is kept back: until the wait is over it is not known which one is sent.
    writeHead: (...args: readonly unknown[]) => {
      if (typeof args[0] === 'number') response.statusCode = args[0];
      head = args;
      return response;
    },
    write: (...args: readonly unknown[]) => {
      sendHead();
      return call('write', args);
    },
    end: (...args: readonly unknown[]) => {
      if (ended) return response;
      ended = true;
      if (!wait.concerns(request.method, response.statusCode)) finish(true, args);
      else {
        void wait.reached().then((durable) => {
          finish(durable, args);
        });
      }
      return response;
    },
  });
}

function refuse(response: ServerResponse): void {
  for (const name of response.getHeaderNames()) {
    if (/^(content-|etag$|location$|set-cookie$|transfer-encoding$)/i.test(name)) response.removeHeader(name);
  }
  response.writeHead(NOT_DURABLE.status, NOT_DURABLE.headers);
  response.end(NOT_DURABLE.body);
}
