/**
 * Answers over HTTP for shippers that run: on a UNIX socket beside each database, for scripts and for apps in other
 * languages, and on a TCP port, for monitors.
 *
 * | request         | answer                                                                           |
 * | --------------- | -------------------------------------------------------------------------------- |
 * | `POST /sync`    | once everything committed before is in the replica, uploaded now                   |
 * | `POST /durable` | the same, with the upload that is due anyway                                       |
 * | `POST /snapshot`| `{ key }` of a snapshot made now                                                   |
 * | `GET /status`   | the status                                                                         |
 * | `GET /health`   | 200 or 503; `?maxLag=30s`                                                          |
 * | `GET /metrics`  | Prometheus's text                                                                  |
 *
 * Bodies are JSON. A failure is `{ error: { kind, code, message } }` with status 400 (wrong request), 404, 405, or 503.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { SeawallError } from '../../replica/terms/errors.ts';
import { toPlain } from '../../shipper/plain-error.ts';
import { METRICS_TYPE, metricsOf } from './metrics.ts';
import type { ShippedDatabase } from './shipped-database.ts';

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

type Route = (shipped: ShippedDatabase, query: URLSearchParams) => Promise<Answer>;

const ok = (body: unknown): Answer => ({ status: 200, body });

const ROUTES: Readonly<Record<string, { readonly method: 'GET' | 'POST'; readonly run: Route }>> = {
  '/sync': { method: 'POST', run: async (shipped) => ok(await shipped.sync()) },
  '/durable': { method: 'POST', run: async (shipped) => ok(await shipped.durable()) },
  '/snapshot': { method: 'POST', run: async (shipped) => ok({ key: await shipped.snapshot() }) },
  '/status': { method: 'GET', run: async (shipped) => ok(await shipped.status()) },
  '/health': {
    method: 'GET',
    run: async (shipped, query) => {
      const maxLag = query.get('maxLag');
      const health = await shipped.health(maxLag === null ? {} : { maxLag });
      return { status: health.ok ? 200 : 503, body: health };
    },
  },
};

/** The longest path of a UNIX socket, bytes: sun_path of unix(7), without its last zero. */
const MAX_SOCKET_PATH = 107;

/** The control socket of a database whose state folder this is. */
export function socketIn(stateFolder: string): string {
  return join(stateFolder, 'control.sock');
}

export class ControlServer implements AsyncDisposable {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /**
   * Listens on the socket of a database that this process ships: whoever held it before is gone. Only this user may
   * connect. Throws `local` (CONTROL_SOCKET) if it cannot.
   */
  static async onSocket(path: string, shipped: ShippedDatabase): Promise<ControlServer> {
    if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
      throw new SeawallError(
        'local',
        'CONTROL_SOCKET',
        `${path} is longer than the ${MAX_SOCKET_PATH} bytes a socket may have; give --state-folder a shorter path`,
        { path },
      );
    }
    rmSync(path, { force: true });
    const control = await ControlServer.#listen(async (request, url) => answer(request, url, shipped), { path });
    chmodSync(path, 0o600);
    return control;
  }

  /** Serves the metrics of all databases, and nothing else, on a TCP address. Throws `local` (METRICS_ADDRESS) if it cannot. */
  static onAddress(
    { host, port }: { readonly host: string; readonly port: number },
    databases: () => readonly ShippedDatabase[],
  ): Promise<ControlServer> {
    return ControlServer.#listen(
      async (request, { pathname }) => {
        if (pathname !== '/metrics') return refused(404, 'NOT_FOUND', `there is only /metrics here, no ${pathname}`);
        if (request.method !== 'GET') return refused(405, 'METHOD', 'use GET');
        return ok(await metricsOf(databases()));
      },
      { host, port },
    );
  }

  static async #listen(
    handle: (request: IncomingMessage, url: URL) => Promise<Answer>,
    where: { readonly path: string } | { readonly host: string; readonly port: number },
  ): Promise<ControlServer> {
    const server = createServer((request, response) => {
      void respond(request, response, handle);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => {
        const [name, code] =
          'path' in where ? [where.path, 'CONTROL_SOCKET'] : [`${where.host}:${where.port}`, 'METRICS_ADDRESS'];
        reject(new SeawallError('local', code, `cannot listen on ${name}: ${error.message}`, {}, error));
      });
      server.listen(where, resolve);
    });
    server.unref();
    return new ControlServer(server);
  }

  /** The port that is listened on; for a port of 0 in tests. */
  get port(): number | undefined {
    const address = this.#server.address();
    return typeof address === 'object' ? address?.port : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

async function answer(request: IncomingMessage, url: URL, shipped: ShippedDatabase): Promise<Answer> {
  if (url.pathname === '/metrics' && request.method === 'GET') return ok(await metricsOf([shipped]));
  const route = Object.hasOwn(ROUTES, url.pathname) ? ROUTES[url.pathname] : undefined;
  if (route === undefined) {
    return refused(
      404,
      'NOT_FOUND',
      `there is no ${url.pathname}; there are ${Object.keys(ROUTES).join(', ')}, /metrics`,
    );
  }
  if (request.method !== route.method) return refused(405, 'METHOD', `${url.pathname} takes ${route.method}`);
  return route.run(shipped, url.searchParams);
}

function refused(status: number, code: string, message: string): Answer {
  return { status, body: { error: { kind: 'usage', code, message } } };
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  handle: (request: IncomingMessage, url: URL) => Promise<Answer>,
): Promise<void> {
  request.resume();
  const { status, body } = await handle(request, new URL(request.url ?? '/', 'http://localhost')).catch(failure);
  const isText = typeof body === 'string';
  const bytes = Buffer.from(isText ? body : `${JSON.stringify(body)}\n`);
  response.writeHead(status, {
    'content-type': isText ? METRICS_TYPE : 'application/json; charset=utf-8',
    'content-length': bytes.length,
  });
  response.end(bytes);
}

function failure(error: unknown): Answer {
  const { kind, code, message } = toPlain(error);
  return { status: kind === 'usage' ? 400 : 503, body: { error: { kind, code, message } } };
}
