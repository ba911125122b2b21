import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { createServer, request, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request on its way through the proxy. Headers may be changed before it goes on. */
export interface Passing {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/**
 * Stands before the tests' S3 server and gives it the oddities of other servers. `quirk` may answer itself, by the
 * response, and return undefined; or pass the request on, and return what the server said, changed or not.
 */
export type Quirk = (
  passing: Passing,
  forward: () => Promise<Answer>,
  response: ServerResponse,
) => Promise<Answer | undefined>;

export async function startProxy(target: string, quirk: Quirk): Promise<{ endpoint: string; close(): Promise<void> }> {
  const server = createServer((incoming, response) => {
    void pass(target, quirk, incoming, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function pass(target: string, quirk: Quirk, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(incoming.url ?? '/', target);
  const passing: Passing = {
    method: incoming.method ?? 'GET',
    path: pathname,
    query: searchParams,
    headers: { ...incoming.headers },
    body: await gathered(incoming),
  };
  const answer = await quirk(passing, () => forward(target, passing, incoming.url ?? '/'), response);
  if (answer === undefined) return;
  const headers = { ...answer.headers };
  if (passing.method !== 'HEAD') headers['content-length'] = String(answer.body.length);
  response.writeHead(answer.status, headers);
  response.end(passing.method === 'HEAD' ? undefined : answer.body);
}

async function forward(target: string, { method, headers, body }: Passing, path: string): Promise<Answer> {
  const outgoing = request(new URL(path, target), { method, headers, agent: false });
  outgoing.end(body);
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: await gathered(answer) };
}

async function gathered(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
