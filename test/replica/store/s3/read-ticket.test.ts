/** Tickets: what another thread reads by itself is what `get` gives, or nothing; a strange answer is never taken for bytes. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { S3Client } from '@aws-sdk/client-s3';
import { filesStore } from '../../../../replica/store/files/store.ts';
import { RangeClient, type HttpTicket } from '../../../../replica/store/range-client.ts';
import { TicketReader } from '../../../../replica/store/read-ticket.ts';
import { s3Store } from '../../../../replica/store/s3/store.ts';
import { scoped } from '../../../../replica/store/scoped.ts';
import type { Store } from '../../../../replica/store/store.ts';
import { Scratch } from '../../../history/scratch.ts';
import { startS3Server } from '../../../s3-server/index.ts';
import { PATIENCE } from '../../../until.ts';

const KEY = 'a folder/ü+~*.bin';

async function expectRanges(store: Store): Promise<void> {
  const body = randomBytes(3 << 20);
  await store.put(KEY, body);
  const reader = new TicketReader();
  const ranges = [0, 1, 1 << 20, body.length - 1].map((offset) => ({ offset, length: Math.min(700_001, body.length - offset) })); // prettier-ignore
  const reading = ranges.map(async (range) => {
    for (let again = 0; again < 3; again++) {
      const into = Buffer.alloc(range.length);
      await reader.read((await store.ticket!(KEY, range))!, into);
      assert.ok(into.equals(body.subarray(range.offset, range.offset + range.length)));
    }
  });
  await Promise.all(reading);
  const beyond = await store.ticket!(KEY, { offset: body.length - 5, length: 10 });
  await assert.rejects(reader.read(beyond!, Buffer.alloc(10)));
  reader.close();
}

test('a folder: what a ticket reads is what was asked for', async () => {
  using scratch = new Scratch();
  await expectRanges(filesStore(scratch.path));
  await expectRanges(scoped(filesStore(scratch.path), 'below'));
});

test('S3: what a ticket reads is what was asked for; connections are used again; a client of the caller’s has none', async () => {
  const server = await startS3Server({ buckets: ['b'] });
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const store = s3Store({ bucket: 'b', prefix: 'p/q', endpoint: server.endpoint, credentials });
  try {
    await expectRanges(store);
    assert.equal(server.requests.GetObject, 13);
    const client = new S3Client({ endpoint: server.endpoint, region: 'us-east-1', credentials, forcePathStyle: true });
    const theirs = s3Store({ bucket: 'b', client });
    assert.equal(await theirs.ticket!(KEY, { offset: 0, length: 1 }), undefined);
    client.destroy();
  } finally {
    await store.close();
    await server.close();
  }
});

const RIGHT = 'HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\nContent-Range: bytes 5-14/100\r\n';

/** What the reader makes of these answers, one for each connection, piece by piece. */
async function answered(
  pieces: readonly string[],
  { then = () => undefined, idleTimeout = 200 }: { then?: (socket: Socket) => void; idleTimeout?: number } = {},
): Promise<string> {
  const server = createServer((socket) => {
    socket.unref();
    socket.on('error', () => undefined);
    socket.once('data', () => {
      void (async () => {
        for (const piece of pieces) {
          socket.write(piece, 'latin1');
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        then(socket);
      })();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const ticket: HttpTicket = {
    kind: 'http',
    host: '127.0.0.1',
    port,
    secure: false,
    request: 'GET / HTTP/1.1\r\nhost: x\r\n\r\n',
    offset: 5,
    connectionTimeout: PATIENCE,
    idleTimeout,
  };
  const into = Buffer.alloc(10);
  try {
    await new RangeClient().read(ticket, into);
    return into.toString();
  } catch (error) {
    return `! ${(error as Error).message}`;
  } finally {
    server.close();
  }
}

test('an answer that is whole is taken, however it is cut', async () => {
  const whole = `${RIGHT}x-id: 1\r\nx-id: 2\r\n\r\n0123456789`;
  const patient = { idleTimeout: PATIENCE };
  assert.equal(await answered([whole], patient), '0123456789');
  for (let at = 1; at < whole.length; at += 7) {
    assert.equal(await answered([whole.slice(0, at), whole.slice(at)], patient), '0123456789');
  }
});

test('any other answer is an error', async () => {
  const strange = [
    [RIGHT.replace('206 Partial Content', '200 OK') + '\r\n0123456789'],
    [RIGHT.replace('206 Partial Content', '503 Slow Down') + '\r\n0123456789'],
    [RIGHT.replace('HTTP/1.1', 'ICY') + '\r\n0123456789'],
    [RIGHT.replace('Length: 10', 'Length: 9') + '\r\n012345678'],
    [RIGHT.replace('Content-Length: 10\r\n', '') + '\r\n0123456789'],
    [RIGHT.replace('5-14', '6-15') + '\r\n0123456789'],
    [RIGHT.replace('Content-Range', 'X-Range') + '\r\n0123456789'],
    [`${RIGHT}Content-Length: 11\r\n\r\n0123456789`],
    [`${RIGHT}Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n`],
    [`${RIGHT}Content-Encoding: gzip\r\n\r\n0123456789`],
    [`${RIGHT} folded\r\n\r\n0123456789`],
    [`${RIGHT}\r\n0123456789more`],
    [`${RIGHT}\r\n01234`], // then silence
    [RIGHT],
    ['\0'.repeat(70_000)],
  ];
  for (const pieces of strange) assert.match(await answered(pieces), /^! /, pieces.join('').slice(0, 200));
  const cut = { idleTimeout: PATIENCE, then: (socket: Socket): unknown => socket.destroy() };
  assert.match(await answered([`${RIGHT}\r\n01234`], cut), /^! /);
  assert.match(await answered([], cut), /^! /);
});

test('a connection that the server closed while it was at rest is replaced', async () => {
  const server = createServer((socket) => {
    socket.unref();
    socket.once('data', () => {
      socket.write(`${RIGHT}\r\n0123456789`);
      setTimeout(() => socket.destroy(), 20);
    });
    socket.once('close', () => closed++);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = new RangeClient();
  let closed = 0;
  const common = { kind: 'http', host: '127.0.0.1', port, secure: false, offset: 5 } as const;
  const ticket = { ...common, request: 'GET / HTTP/1.1\r\n\r\n', connectionTimeout: PATIENCE, idleTimeout: PATIENCE };
  for (let i = 0; i < 3; i++) {
    const into = Buffer.alloc(10);
    await client.read(ticket, into);
    assert.equal(into.toString(), '0123456789');
    while (i > 0 && closed <= i) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  server.close();
});
