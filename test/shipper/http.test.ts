/** Middleware that holds the response to a write until it is durable, in the frameworks themselves. */
import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { durableExpress, durableFastify, durableHono, type DurableResponsesOptions } from '../../shipper/http/index.ts';

/** A shipper whose uploads end when the test says so. */
class Gate {
  asked = 0;
  #open = Promise.withResolvers<undefined>();
  durable(): Promise<undefined> {
    this.asked++;
    return this.#open.promise;
  }
  open(): void {
    this.#open.resolve(undefined);
  }
  fail(): void {
    this.#open.promise.catch(() => undefined);
    this.#open.reject(new Error('fenced'));
  }
}

interface App extends AsyncDisposable {
  readonly url: string;
}

async function listen(handler: RequestListener): Promise<App> {
  const server = createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Each app answers POST /orders with 201, GET /orders with 200, and POST /wrong with 400. */
const frameworks: Readonly<Record<string, (gate: Gate, options: DurableResponsesOptions) => Promise<App>>> = {
  express: (gate, options) => {
    const app = express();
    app.use(durableExpress(gate, options));
    app.post('/orders', (_, response) => void response.status(201).set('location', '/orders/1').json({ id: 1 }));
    app.get('/orders', (_, response) => void response.json([]));
    app.post('/wrong', (_, response) => void response.status(400).json({ wrong: true }));
    return listen(app as RequestListener);
  },
  'node:http with writeHead': (gate, options) => {
    const middleware = durableExpress(gate, options);
    return listen((request, response) => {
      middleware(request, response, () => {
        if (request.url === '/wrong') response.writeHead(400).end('{}');
        else if (request.method === 'POST') response.writeHead(201, { location: '/orders/1' }).end('{"id":1}');
        else response.end('[]');
      });
    });
  },
  fastify: async (gate, options) => {
    const app = fastify();
    await app.register(durableFastify(gate, options));
    app.post('/orders', (_, reply) => reply.code(201).header('location', '/orders/1').send({ id: 1 }));
    app.get('/orders', () => []);
    app.post('/wrong', (_, reply) => reply.code(400).send({ wrong: true }));
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    return { url, [Symbol.asyncDispose]: () => app.close() };
  },
  hono: async (gate, options) => {
    const app = new Hono();
    app.use(durableHono(gate, options));
    app.post('/orders', (c) => c.json({ id: 1 }, 201, { location: '/orders/1' }));
    app.get('/orders', (c) => c.json([]));
    app.post('/wrong', (c) => c.json({ wrong: true }, 400));
    return listen((request, response) => {
      void (async () => {
        const answer = await app.fetch(new Request(`http://x${request.url}`, { method: request.method ?? 'GET' }));
        response.writeHead(answer.status, Object.fromEntries(answer.headers));
        response.end(await answer.text());
      })();
    });
  },
};

for (const [name, start] of Object.entries(frameworks)) {
  describe(name, () => {
    test('the response to a write comes when it is durable, and is the app’s own', async () => {
      const gate = new Gate();
      await using app = await start(gate, {});
      let answered = false;
      const pending = fetch(`${app.url}/orders`, { method: 'POST' }).then((response) => {
        answered = true;
        return response;
      });
      while (gate.asked === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      assert.equal(answered, false);
      gate.open();
      const response = await pending;
      assert.equal(response.status, 201);
      assert.equal(response.headers.get('location'), '/orders/1');
      assert.deepEqual(await response.json(), { id: 1 });
    });

    test('reads and refusals are not held', async () => {
      const gate = new Gate();
      await using app = await start(gate, {});
      assert.deepEqual(await (await fetch(`${app.url}/orders`)).json(), []);
      assert.equal((await fetch(`${app.url}/wrong`, { method: 'POST' })).status, 400);
      assert.equal(gate.asked, 0);
    });

    test('at the time limit, or when shipping has ended, the answer is 503 NOT_DURABLE and nothing of the app’s', async () => {
      for (const end of ['limit', 'failure'] as const) {
        const gate = new Gate();
        if (end === 'failure') gate.fail();
        await using app = await start(gate, { timeLimit: end === 'limit' ? 50 : '1h' });
        const response = await fetch(`${app.url}/orders`, { method: 'POST' });
        assert.equal(response.status, 503);
        assert.equal(response.headers.get('location'), null);
        assert.equal(response.headers.get('retry-after'), '1');
        assert.equal(((await response.json()) as { code: string }).code, 'NOT_DURABLE');
      }
    });
  });
}

test('a response whose body has begun is cut off if it does not become durable', async () => {
  const middleware = durableExpress(new Gate(), { timeLimit: 50 });
  await using app = await listen((request, response) => {
    middleware(request, response, () => {
      response.write('begun');
      response.end('ended');
    });
  });
  await assert.rejects(async () => (await fetch(app.url, { method: 'POST' })).text());
});

test('options are checked by name', () => {
  assert.throws(() => durableExpress(new Gate(), { timeLimit: 'soon' }), /timeLimit/);
});
