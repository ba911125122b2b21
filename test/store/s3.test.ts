import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { after, afterEach, beforeEach, describe, test } from 'node:test';
import { S3Client } from '@aws-sdk/client-s3';
import { isKind, SeawallError } from '../../replica/errors.ts';
import type { ErrorKind } from '../../replica/errors.ts';
import { s3Failure } from '../../replica/store/s3-errors.ts';
import { s3Store } from '../../replica/store/s3.ts';
import type { S3StoreOptions } from '../../replica/store/s3.ts';
import type { Store } from '../../replica/store/store.ts';
import { startS3Server } from '../s3-server/index.ts';
import type { FaultRule, OperationName } from '../s3-server/index.ts';
import { collect, drain, inBatches, rejects, storeConformance } from './conformance.ts';
import { startProxy } from './s3-proxy.ts';
import type { Answer, Quirk } from './s3-proxy.ts';

const MiB = 2 ** 20;
const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'a-secret-that-no-message-may-hold' };

const server = await startS3Server({ buckets: ['b'], data: 'memory' });
after(() => server.close());

const guarded = await startS3Server({
  buckets: ['b'],
  auth: {
    root: { allow: () => true },
    expired: { allow: () => true, expired: true },
    nothing: { allow: () => false },
    // What grantShip gives: puts, and nothing else.
    shipper: { allow: (action) => action === 's3:PutObject' },
    keeper: { allow: (action, _bucket, key) => action !== 's3:DeleteObject' || !key.includes('kept') },
  },
});
after(() => guarded.close());

const opened: { readonly close: () => Promise<void> }[] = [];
beforeEach(() => {
  server.resetCounters();
});
afterEach(async () => {
  server.faults.clear();
  for (const { close } of opened.splice(0)) await close();
});

function openS3(options: Partial<S3StoreOptions> = {}): Store {
  const defaults = { bucket: 'b', prefix: `t/${randomUUID()}`, endpoint: server.endpoint, credentials: CREDENTIALS };
  const store = s3Store({ ...defaults, ...options });
  opened.push(store);
  return store;
}

/** The same through a server with an oddity. */
async function openOdd(quirk: Quirk, options: Partial<S3StoreOptions> = {}): Promise<Store> {
  const proxy = await startProxy(server.endpoint, quirk);
  const store = openS3({ endpoint: proxy.endpoint, ...options });
  opened.push(proxy);
  return store;
}

type Fault = FaultRule extends infer F ? (F extends { match?: unknown } ? Omit<F, 'match'> : never) : never;

function failing(op: OperationName, fault: Fault) {
  return server.faults.add({ ...fault, match: (request) => request.op === op });
}

for (const checksums of ['when-required', 'when-supported'] as const) {
  storeConformance(`s3, checksums ${checksums}`, () => {
    const store = openS3({ checksums });
    return Promise.resolve({ store, close: () => store.close() });
  });
}

describe('s3: answers that were lost', () => {
  test('a put "absent" whose acknowledgement was lost is success', async () => {
    const store = openS3();
    const fault = failing('PutObject', { kind: 'lost-ack', times: 1 });
    const { etag } = await store.put('k', Buffer.from('mine'), 'absent');
    assert.equal(fault.hits, 1);
    assert.equal(server.requests.PutObject, 2);
    assert.equal((await store.head('k'))?.etag, etag);
  });

  test('so is a large one', async () => {
    const store = openS3();
    failing('PutObject', { kind: 'lost-ack', times: 1 });
    const body = randomBytes(20 * MiB);
    await store.put('k', body, 'absent');
    assert.ok((await store.get('k')).body.equals(body));
  });

  test('a lost acknowledgement does not turn another writer’s object into ours', async () => {
    const store = openS3();
    await store.put('k', Buffer.from('them'));
    failing('PutObject', { kind: 'reset', times: 1 });
    await rejects(store.put('k', Buffer.from('mine'), 'absent'), 'conflict', 'STORE_CONDITION');
    assert.equal((await store.get('k')).body.toString(), 'them');
  });

  test('a put by ifMatch whose acknowledgement was lost is success', async () => {
    const store = openS3();
    const { etag } = await store.put('k', Buffer.from('old'));
    failing('PutObject', { kind: 'lost-ack', times: 1 });
    const written = await store.put('k', Buffer.from('new'), { ifMatch: etag });
    assert.equal((await store.head('k'))?.etag, written.etag);
    await rejects(store.put('k', Buffer.from('new'), { ifMatch: etag }), 'conflict');
  });

  for (const condition of ['absent', undefined] as const) {
    test(`a completion${condition ? ' "absent"' : ''} whose acknowledgement was lost is success`, async () => {
      const store = openS3();
      const upload = await store.upload('k');
      await upload.put(1, 0, Buffer.from('in parts'));
      const fault = failing('CompleteMultipartUpload', { kind: 'lost-ack', times: 1 });
      const { etag } = await upload.complete(condition);
      assert.equal(fault.hits, 1);
      assert.equal((await store.head('k'))?.etag, etag);
      assert.equal((await store.get('k')).body.toString(), 'in parts');
      await upload.abort();
      assert.deepEqual(await collect(store.unfinished('')), []);
    });
  }

  test('a completion of which every answer was lost is success too', async () => {
    const store = openS3({ maxAttempts: 2 });
    const upload = await store.upload('k');
    await upload.put(1, 0, Buffer.from('in parts'));
    failing('CompleteMultipartUpload', { kind: 'lost-ack' });
    await upload.complete('absent');
    assert.equal((await store.get('k')).body.toString(), 'in parts');
  });

  test('a completion that failed can be repeated', async () => {
    const store = openS3({ maxAttempts: 1 });
    const upload = await store.upload('k');
    await upload.put(1, 0, Buffer.from('in parts'));
    failing('CompleteMultipartUpload', { kind: 'status', status: 503, code: 'ServiceUnavailable', times: 1 });
    await rejects(upload.complete('absent'), 'unreachable', 'STORE_SERVER_ERROR');
    await upload.complete('absent');
    assert.equal((await store.get('k')).body.toString(), 'in parts');
  });
});

describe('s3: 409, a conflicting request under way', () => {
  test('a put is sent again', async () => {
    const store = openS3();
    const fault = server.faults.add({ kind: 'conflict-409', times: 2 });
    await store.put('k', Buffer.from('x'), 'absent');
    assert.equal(fault.hits, 2);
  });

  test('a put that meets it each time is unreachable, not lost', async () => {
    const store = openS3();
    server.faults.add({ kind: 'conflict-409' });
    const failure = await rejects(store.put('k', Buffer.from('x'), 'absent'), 'unreachable', 'STORE_BUSY');
    assert.equal(failure.facts.status, 409);
  });

  test('an upload must be made anew, and is aborted', async () => {
    const store = openS3();
    const upload = await store.upload('k');
    await upload.put(1, 0, Buffer.from('x'));
    server.faults.add({ kind: 'conflict-409' });
    await rejects(upload.complete('absent'), 'unreachable', 'STORE_UPLOAD_RESTART');
    assert.deepEqual(await collect(store.unfinished('')), []);
    assert.equal(await store.head('k'), undefined);
  });

  test('an upload that lost to an object that is there now is a conflict', async () => {
    const store = openS3();
    const upload = await store.upload('k');
    await upload.put(1, 0, Buffer.from('x'));
    await store.put('k', Buffer.from('winner'));
    server.faults.add({ kind: 'conflict-409' });
    await rejects(upload.complete('absent'), 'conflict', 'STORE_CONDITION');
    assert.deepEqual(await collect(store.unfinished('')), []);
  });
});

describe('s3: bodies that break off', () => {
  for (const checksums of ['when-required', 'when-supported'] as const) {
    test(`are resumed where they broke, checksums ${checksums}`, async () => {
      const store = openS3({ checksums });
      const body = randomBytes(6 * MiB + 5);
      await store.put('k', body);
      server.resetCounters();
      const fault = failing('GetObject', { kind: 'cut', times: 4 });
      assert.ok((await drain(store.stream('k'))).equals(body));
      assert.equal(fault.hits, 4);
      assert.equal(server.requests.GetObject, 5);
      assert.ok(server.requests.bytesOut < body.length * 1.1, `${server.requests.bytesOut} bytes for ${body.length}`);
    });
  }

  test('get, ranges and suffixes resume too', async () => {
    const store = openS3();
    const body = randomBytes(300_000);
    await store.put('k', body);
    const read = async (range?: Parameters<Store['get']>[1]): Promise<Buffer> => {
      failing('GetObject', { kind: 'cut', times: 2 });
      return (await store.get('k', range)).body;
    };
    assert.ok((await read()).equals(body));
    assert.ok((await read({ offset: 1000, length: 200_000 })).equals(body.subarray(1000, 201_000)));
    assert.ok((await read({ suffix: 70_001 })).equals(body.subarray(-70_001)));
  });

  test('one that makes no more progress is unreachable, never short', async () => {
    let asked = 0;
    const store = await openOdd(async (passing, forward, response) => {
      const answer = await forward();
      if (passing.method !== 'GET') return answer;
      response.writeHead(answer.status, answer.headers);
      response.write(asked++ === 0 ? answer.body.subarray(0, 10) : Buffer.alloc(0));
      response.flushHeaders();
      setTimeout(() => response.destroy(), 50);
      return undefined;
    });
    await store.put('k', randomBytes(100));
    for (const read of [() => store.get('k'), () => drain(store.stream('k'))]) {
      asked = 0;
      const failure = await rejects(read(), 'unreachable', 'STORE_BODY_CUT');
      assert.deepEqual([failure.facts.expected, failure.facts.actual], [100, 10]);
      assert.equal(asked, 3);
    }
  });

  test('an object replaced or deleted before the rest was read is an error', async () => {
    const store = openS3();
    for (const [meanwhile, kind] of [
      [() => store.put('k', randomBytes(3 * MiB)), 'conflict'],
      [() => store.delete(['k']), 'missing'],
    ] as const) {
      await store.put('k', randomBytes(3 * MiB));
      failing('GetObject', { kind: 'cut', times: 1 });
      const reading = async (): Promise<void> => {
        let isFirst = true;
        for await (const piece of store.stream('k')) {
          assert.ok(piece.length > 0);
          if (isFirst) await meanwhile();
          isFirst = false;
        }
      };
      await rejects(reading(), kind);
    }
  });

  test('one that stalls is dropped and resumed', async () => {
    let stalled = 0;
    const store = await openOdd(
      async (passing, forward, response) => {
        const answer = await forward();
        if (passing.method !== 'GET' || stalled++ > 0) return answer;
        response.writeHead(answer.status, answer.headers);
        response.write(answer.body.subarray(0, 1000));
        return undefined;
      },
      { requestTimeout: 300 },
    );
    const body = randomBytes(5000);
    await store.put('k', body);
    assert.ok((await store.get('k')).body.equals(body));
    assert.equal(stalled, 2);
  });

  test('bytes that differ from the store’s checksum are "corrupt"', async () => {
    const store = await openOdd(
      async (passing, forward) => {
        const answer = await forward();
        if (passing.method === 'GET') answer.body[100] = (answer.body[100] ?? 0) ^ 1;
        return answer;
      },
      { checksums: 'when-supported' },
    );
    await store.put('k', randomBytes(5000));
    await rejects(store.get('k'), 'corrupt', 'STORE_CHECKSUM');
    await rejects(drain(store.stream('k')), 'corrupt', 'STORE_CHECKSUM');
  });

  test('a body that is dropped unread fails quietly', async () => {
    const store = await openOdd(
      async (passing, forward) => {
        const answer = await forward();
        // versitygw sends the checksum of the whole object with a part of it.
        if (passing.method === 'GET') answer.headers['x-amz-checksum-crc32'] = '4SwGBg==';
        return answer;
      },
      { checksums: 'when-supported' },
    );
    await store.put('k', randomBytes(1000));
    await rejects(store.get('k', { offset: 999, length: 2 }), 'corrupt', 'RANGE_BEYOND_OBJECT');
    await new Promise((resolve) => setTimeout(resolve, 100)); // an unheard error would end the process about now
  });

  test('a reader that is slow, or leaves, costs no connection', async () => {
    const store = openS3({ requestTimeout: 200 });
    await store.put('k', randomBytes(8 * MiB));
    for (let i = 0; i < 55; i++) {
      for await (const piece of store.stream('k')) {
        assert.ok(piece.length > 0);
        break;
      }
    }
    let length = 0;
    for await (const piece of store.stream('k')) {
      if (length === 0) await new Promise((resolve) => setTimeout(resolve, 500));
      length += piece.length;
    }
    assert.equal(length, 8 * MiB);
  });
});

describe('s3: servers that fail', () => {
  const everything = (store: Store): Record<string, () => Promise<unknown>> => ({
    head: () => store.head('k'),
    get: () => store.get('k'),
    stream: () => drain(store.stream('k')),
    list: () => collect(store.list('')),
    folders: () => collect(store.folders('')),
    put: () => store.put('k2', Buffer.from('x')),
    'put absent': () => store.put('k3', Buffer.from('x'), 'absent'),
    upload: () => store.upload('k4'),
    unfinished: () => collect(store.unfinished('')),
    probeConditions: () => store.probeConditions('probe'),
    delete: async () => {
      const [outcome] = await store.delete(['k']);
      if (outcome?.error !== undefined) throw outcome.error;
    },
  });

  async function eachFails(calls: ReturnType<typeof everything>, kind: ErrorKind, code: string): Promise<void> {
    for (const [name, run] of Object.entries(calls)) {
      await run().then(
        () => assert.fail(`${name} succeeded`),
        (error: unknown) => {
          assert.ok(error instanceof SeawallError, `${name}: ${String(error)}`);
          assert.deepEqual([error.kind, error.code], [kind, code], `${name}: ${error.message}`);
          assert.match(error.message, /^s3:\/\//);
          assert.ok(!error.message.includes(CREDENTIALS.secretAccessKey));
        },
      );
    }
  }

  test('503s and resets are repeated, whatever the request', async () => {
    const store = openS3();
    await store.put('k', Buffer.from('x'));
    for (const fault of [{ kind: 'status', status: 503, code: 'SlowDown' }, { kind: 'reset' }] as const) {
      for (const run of Object.values(everything(store))) {
        server.faults.clear();
        const active = server.faults.add({ ...fault, times: 1 });
        await run();
        assert.equal(active.hits, 1);
      }
      await store.put('k', Buffer.from('x'));
      await store.delete(['k3']);
    }
  });

  test('503s without end are unreachable, with the status', async () => {
    server.faults.add({ kind: 'status', status: 503, code: 'SlowDown' });
    const calls = everything(openS3({ maxAttempts: 1 }));
    delete calls['head']; // its answer has no body, so no code
    await eachFails(calls, 'unreachable', 'STORE_THROTTLED');
    server.faults.clear();
    server.faults.add({ kind: 'status', status: 500, code: 'InternalError' });
    const store = openS3({ maxAttempts: 2 });
    const failure = await rejects(store.get('k'), 'unreachable', 'STORE_SERVER_ERROR');
    assert.equal(failure.facts.status, 500);
    assert.equal(failure.facts.key, 'k');
    assert.match(failure.message, /\/k: .*HTTP 500/);
  });

  test('an outage is unreachable, and over when it is over', async () => {
    const store = openS3({ maxAttempts: 2 });
    await store.put('k', Buffer.from('kept'));
    server.pause();
    try {
      await eachFails(everything(store), 'unreachable', 'STORE_UNREACHABLE');
    } finally {
      server.resume();
    }
    assert.equal((await store.get('k')).body.toString(), 'kept');
  });

  test('no server, and no such host, are unreachable', async () => {
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await eachFails(
      everything(openS3({ endpoint: `http://127.0.0.1:${port}`, maxAttempts: 1 })),
      'unreachable',
      'STORE_UNREACHABLE',
    );
    const nowhere = openS3({ endpoint: 'http://nowhere.invalid', maxAttempts: 1 });
    await rejects(nowhere.get('k'), 'unreachable', 'STORE_UNREACHABLE');
  });

  test('a server that never answers is unreachable in time', async () => {
    const store = openS3({ requestTimeout: 200, maxAttempts: 1 });
    server.faults.add({ kind: 'hang' });
    const before = performance.now();
    await rejects(store.get('k'), 'unreachable', 'STORE_TIMEOUT');
    await rejects(store.put('k', Buffer.from('x'), 'absent'), 'unreachable', 'STORE_TIMEOUT');
    await rejects(store.head('k'), 'unreachable', 'STORE_TIMEOUT');
    assert.ok(performance.now() - before < 5_000);
  });

  test('something that is no S3 server is unreachable, and said so', async () => {
    const store = await openOdd(() =>
      Promise.resolve({
        status: 200,
        headers: { 'content-type': 'text/html' },
        body: Buffer.from('<html><p>Welcome</html>'),
      }),
    );
    const failure = await rejects(collect(store.list('')), 'unreachable');
    assert.match(failure.message, /^s3:\/\/b\//);
  });

  test('a bucket that is not there is "missing" with its own code, also by head', async () => {
    await eachFails(everything(openS3({ bucket: 'nope' })), 'missing', 'STORE_NO_BUCKET');
    const failure = await rejects(openS3({ bucket: 'nope' }).head('k'), 'missing');
    assert.match(failure.message, /no bucket "nope": make it, or correct the URL/);
  });

  test('an upload whose parts fail can still be aborted', async () => {
    const store = openS3({ maxAttempts: 1 });
    const upload = await store.upload('k');
    failing('UploadPart', { kind: 'status', status: 500, code: 'InternalError', times: 1 });
    await rejects(upload.put(1, 0, Buffer.from('x')), 'unreachable', 'STORE_SERVER_ERROR');
    await upload.abort();
    assert.deepEqual(await collect(store.unfinished('')), []);
  });

  describe('credentials', () => {
    const as = (accessKeyId: string, prefix = 'p/1'): Store =>
      openS3({ endpoint: guarded.endpoint, prefix, credentials: { ...CREDENTIALS, accessKeyId } });

    test('that have expired are "denied", whatever the request', async () => {
      await eachFails(everything(as('expired')), 'denied', 'STORE_CREDENTIALS_EXPIRED');
    });

    test('that are not known are "denied" with another code', async () => {
      await eachFails(everything(as('stranger')), 'denied', 'STORE_CREDENTIALS_UNKNOWN');
    });

    test('that allow nothing are "denied" with another code', async () => {
      await eachFails(everything(as('nothing')), 'denied', 'STORE_ACCESS_DENIED');
    });

    test('that cannot be had are "denied" with another code', async () => {
      const credentials = (): Promise<never> =>
        Promise.reject(
          Object.assign(new Error('Could not load credentials from any providers'), {
            name: 'CredentialsProviderError',
          }),
        );
      await eachFails(everything(openS3({ credentials })), 'denied', 'STORE_NO_CREDENTIALS');
    });

    test('that may only put: what is there already is a conflict, as it cannot be read back', async () => {
      const store = as('shipper');
      await store.put('one', Buffer.from('x'), 'absent');
      await rejects(store.put('one', Buffer.from('y'), 'absent'), 'conflict', 'STORE_CONDITION');
      await rejects(store.put('one', Buffer.from('x'), 'absent'), 'conflict', 'STORE_CONDITION');
    });

    test('that may delete some keys: each key has its own outcome', async () => {
      const root = as('root', 'p/2');
      const keys = ['a', 'kept/1', 'b', 'kept/2', 'c'];
      for (const key of keys) await root.put(key, Buffer.from('x'));
      const outcomes = await as('keeper', 'p/2').delete(keys);
      assert.deepEqual(
        outcomes.map(({ key, error }) => [key, isKind(error, 'denied')]),
        keys.map((key) => [key, key.startsWith('kept')]),
      );
      assert.deepEqual(
        (await collect(root.list(''))).map(({ key }) => key),
        ['kept/1', 'kept/2'],
      );
    });
  });
});

describe('s3: servers that differ', () => {
  const isDeleteObjects: (passing: Parameters<Quirk>[0]) => boolean = ({ method, query }) =>
    method === 'POST' && query.has('delete');
  const xml = (status: number, body: string): Answer => ({
    status,
    headers: { 'content-type': 'application/xml' },
    body: Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>${body}`),
  });

  for (const [what, status, code, message] of [
    ['for want of Content-MD5', 400, 'InvalidRequest', 'Missing required header for this request: Content-MD5'],
    ['for want of Content-MD5 by its code', 400, 'MissingContentMD5', ''],
    ['as not implemented', 501, 'NotImplemented', ''],
  ] as const) {
    test(`where DeleteObjects is refused ${what}, keys are deleted one by one`, async () => {
      let batches = 0;
      const store = await openOdd(async (passing, forward) => {
        if (!isDeleteObjects(passing)) return forward();
        batches++;
        return xml(status, `<Error><Code>${code}</Code><Message>${message}</Message></Error>`);
      });
      const keys = Array.from({ length: 25 }, (_, i) => `k${i}`);
      await inBatches(keys, 25, (key) => store.put(key, Buffer.from('x')));
      const asked = [...keys, 'gone'];
      assert.deepEqual(
        await store.delete(asked),
        asked.map((key) => ({ key })),
      );
      assert.deepEqual(await store.delete(['k1']), [{ key: 'k1' }]);
      assert.equal(batches, 1);
      assert.deepEqual(await collect(store.list('')), []);
    });
  }

  test('keys that a batch neither reports as deleted nor as failed are errors', async () => {
    const store = await openOdd(async (passing, forward) => {
      if (!isDeleteObjects(passing)) return forward();
      return xml(200, '<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></DeleteResult>');
    });
    await store.put('k', Buffer.from('x'));
    for (const { error } of await store.delete(['k', 'l'])) {
      assert.ok(isKind(error, 'unreachable') && error.code === 'STORE_DELETE_UNCONFIRMED');
    }
    assert.notEqual(await store.head('k'), undefined);
  });

  test('keys that failed for a while are tried again, alone', async () => {
    const asked: number[] = [];
    const store = await openOdd(async (passing, forward) => {
      if (!isDeleteObjects(passing)) return forward();
      const keys = [...passing.body.toString().matchAll(/<Key>(.*?)<\/Key>/g)].map(([, key = '']) => key);
      asked.push(keys.length);
      const failsNow = (key: string): boolean => key.endsWith('slow') && asked.length < 3;
      const parts = keys.map((key) =>
        failsNow(key)
          ? `<Error><Key>${key}</Key><Code>SlowDown</Code><Message>later</Message></Error>`
          : `<Deleted><Key>${key}</Key></Deleted>`,
      );
      return xml(200, `<DeleteResult>${parts.join('')}</DeleteResult>`);
    });
    assert.deepEqual(await store.delete(['a', 'slow', 'b']), [{ key: 'a' }, { key: 'slow' }, { key: 'b' }]);
    assert.deepEqual(asked, [3, 1, 1]);
  });

  test('where conditions are ignored, or refused, probeConditions says no', async () => {
    const ignoring = await openOdd(async (passing, forward) => {
      delete passing.headers['if-none-match'];
      delete passing.headers['if-match'];
      return forward();
    });
    assert.equal(await ignoring.probeConditions('probe'), false);
    const refusing = await openOdd(async (passing, forward) => {
      if (passing.method !== 'PUT') return forward();
      return xml(501, '<Error><Code>NotImplemented</Code><Message>A header you provided…</Message></Error>');
    });
    assert.equal(await refusing.probeConditions('probe'), false);
    const ignoringMatch = await openOdd(async (passing, forward) => {
      delete passing.headers['if-match'];
      return forward();
    });
    assert.equal(await ignoringMatch.probeConditions('probe'), false);
    const refusingMatch = await openOdd(async (passing, forward) => {
      if (passing.headers['if-match'] !== undefined) passing.headers['if-match'] = '"never"';
      return forward();
    });
    assert.equal(await refusingMatch.probeConditions('probe'), false);
  });

  /** Puts the objects of each page of a list in another order. */
  const shuffling =
    (shuffle: (contents: string[], page: number) => string[]): Quirk =>
    async (passing, forward) => {
      if (!passing.query.has('list-type')) return forward();
      const answer = await forward();
      const text = answer.body.toString();
      const contents = text.match(/<Contents>.*?<\/Contents>/gs) ?? [];
      if (contents.length === 0) return answer;
      const start = text.indexOf('<Contents>');
      const page = passing.query.has('continuation-token') ? 1 : 0;
      const rest = text.slice(start).replace(/<Contents>.*?<\/Contents>/gs, '');
      return { ...answer, body: Buffer.from(text.slice(0, start) + shuffle(contents, page).join('') + rest) };
    };

  test('lists that come out of order are sorted', async () => {
    const prefix = `t/${randomUUID()}`;
    const plain = openS3({ prefix });
    const keys = Array.from({ length: 1500 }, (_, i) => `k${String(i).padStart(5, '0')}`);
    await inBatches(keys, 50, (key) => plain.put(key, Buffer.from('x')));
    const store = await openOdd(
      shuffling((contents) => contents.reverse()),
      { prefix },
    );
    const listed = async (prefix: string, from?: string): Promise<string[]> =>
      (await collect(store.list(prefix, from))).map(({ key }) => key);
    assert.deepEqual(await listed(''), keys);
    assert.deepEqual(await listed('', keys[700]), keys.slice(701));
    assert.deepEqual(await listed('k0012'), keys.slice(120, 130));

    const late = await openOdd(
      shuffling((contents, page) => (page === 1 ? contents.reverse() : contents)),
      { prefix },
    );
    await rejects(collect(late.list('')), 'unreachable', 'STORE_UNSORTED');
    assert.deepEqual(
      (await collect(late.list(''))).map(({ key }) => key),
      keys,
    );
  });

  test('keys that XML cannot hold are listed', async () => {
    const store = openS3();
    await store.put('bell\u0007', Buffer.from('x'));
    await store.put('plus + percent %41', Buffer.from('x'));
    assert.deepEqual(
      (await collect(store.list(''))).map(({ key }) => key),
      ['bell\u0007', 'plus + percent %41'],
    );
  });

  test('where keys are not URL-encoded in lists, they are taken as they are', async () => {
    const store = await openOdd(async (passing, forward) => {
      const answer = await forward();
      if (!passing.query.has('list-type')) return answer;
      const text = answer.body.toString().replace(/<EncodingType>url<\/EncodingType>/, '');
      return {
        ...answer,
        body: Buffer.from(
          text.replace(/<Key>(.*?)<\/Key>/g, (_, key: string) => `<Key>${decodeURIComponent(key)}</Key>`),
        ),
      };
    });
    await store.put('a%2Fb', Buffer.from('x'));
    assert.deepEqual(
      (await collect(store.list(''))).map(({ key }) => key),
      ['a%2Fb'],
    );
  });

  test('where ranges are ignored, the wrong bytes are never returned', async () => {
    const store = await openOdd(async (passing, forward) => {
      delete passing.headers.range;
      return forward();
    });
    await store.put('k', randomBytes(1000));
    await rejects(store.get('k', { offset: 10, length: 20 }), 'unsupported', 'STORE_RANGE_IGNORED');
    assert.equal((await store.get('k', { offset: 0, length: 1000 })).body.length, 1000);
  });

  test('"folders" that a console made are not listed', async () => {
    const prefix = `t/${randomUUID()}`;
    const store = openS3({ prefix });
    await store.put('a/b', Buffer.from('x'));
    await fetch(`${server.endpoint}/b/${prefix}/a/`, { method: 'PUT', body: '' });
    await fetch(`${server.endpoint}/b/${prefix}/`, { method: 'PUT', body: '' });
    assert.deepEqual(
      (await collect(store.list(''))).map(({ key }) => key),
      ['a/b'],
    );
    assert.deepEqual(await collect(store.folders('')), ['a']);
  });

  test('bodies go whole, with their length, and with checksums only when asked for', async () => {
    const seen: Record<string, string>[] = [];
    server.faults.add({ kind: 'reset', match: ({ headers }) => seen.push({ ...headers }) === 0 });
    for (const checksums of ['when-required', 'when-supported', undefined] as const) {
      const store = openS3(checksums === undefined ? {} : { checksums });
      await store.put('k', Buffer.from('12345'));
      const [headers = {}] = seen.splice(0);
      assert.equal(headers['content-length'], '5');
      assert.equal(headers['transfer-encoding'], undefined);
      assert.equal(headers['content-encoding'], undefined);
      assert.equal('x-amz-checksum-crc32' in headers, checksums === 'when-supported');
    }
  });
});

describe('s3: options', () => {
  test('are checked by name and value', () => {
    const cases = [
      [{ bucket: '' }, /bucket must be/],
      [{ bucket: 'b', endpoint: 'localhost:9000' }, /endpoint must be an http/],
      [{ bucket: 'b', endpoint: 'https://me:secret@host' }, /must not hold credentials/],
      [{ bucket: 'b', prefix: '../x' }, /not a key/],
      [{ bucket: 'b', checksums: 'never' }, /checksums must be/],
      [{ bucket: 'b', maxAttempts: 0 }, /maxAttempts must be/],
      [{ bucket: 'b', requestTimeout: -1 }, /requestTimeout must be/],
      [{ bucket: 'b', regoin: 'x' }, /unknown option "regoin".*allowed are bucket, prefix/],
      [{ bucket: 'b', region: 'x', client: new S3Client({}) }, /"region" has no effect beside "client"/],
    ] as const;
    for (const [options, message] of cases) {
      assert.throws(
        () => s3Store(options as unknown as S3StoreOptions),
        (error: unknown) => {
          assert.ok(error instanceof TypeError || error instanceof RangeError);
          assert.match(error.message, message);
          assert.ok(!error.message.includes('secret'));
          return true;
        },
      );
    }
  });

  test('the prefix counts towards the longest key', async () => {
    const store = openS3({ prefix: 'p'.repeat(1000) });
    await assert.rejects(store.put('k'.repeat(30), Buffer.from('x')), RangeError);
  });

  test('a client of the caller’s stays open', async () => {
    const client = new S3Client({
      endpoint: server.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: CREDENTIALS,
    });
    const prefix = randomUUID();
    const first = s3Store({ bucket: 'b', prefix, client });
    await first.put('k', Buffer.from('x'));
    await first.close();
    const second = s3Store({ bucket: 'b', prefix: `${prefix}/`, client });
    assert.equal((await second.get('k')).body.toString(), 'x');
    assert.equal(second.url, `s3://b/${prefix}`);
    client.destroy();
  });

  test('errors of the SDK, of S3 and of sockets have kinds', () => {
    const cases = [
      [{ name: 'SignatureDoesNotMatch', status: 403 }, 'denied', 'STORE_SIGNATURE'],
      [{ name: 'RequestTimeTooSkewed', status: 403 }, 'denied', 'STORE_CLOCK_SKEW'],
      [{ name: 'InvalidObjectState', status: 403 }, 'unsupported', 'STORE_ARCHIVED'],
      [{ name: 'PermanentRedirect', status: 301 }, 'unsupported', 'STORE_WRONG_REGION'],
      [{ name: 'SomethingNew', status: 403 }, 'denied', 'STORE_ACCESS_DENIED'],
      [{ name: 'SomethingNew', status: 507 }, 'unreachable', 'STORE_SERVER_ERROR'],
      [{ name: 'SomethingNew', status: 400 }, 'unsupported', 'STORE_REQUEST_REFUSED'],
      [{ name: 'Error', code: 'CERT_HAS_EXPIRED' }, 'unreachable', 'STORE_TLS'],
      [{ name: 'Error', code: 'EPROTO' }, 'unreachable', 'STORE_TLS'],
      [{ name: 'Error', code: 'HPE_INVALID_CONSTANT' }, 'unreachable', 'STORE_BAD_ANSWER'],
      [{ name: 'Error', message: 'Region is missing' }, 'unsupported', 'STORE_NO_REGION'],
      [{ name: 'Error' }, 'unreachable', 'STORE_FAILED'],
    ] as const;
    for (const [{ name, ...rest }, kind, code] of cases) {
      const { status, ...more } = { status: undefined, ...rest };
      const raw = Object.assign(new Error('said'), { name, $metadata: { httpStatusCode: status } }, more);
      const failure = s3Failure(raw, { url: 's3://b', bucket: 'b', key: 'k' });
      assert.ok(failure instanceof SeawallError);
      assert.deepEqual([failure.kind, failure.code], [kind, code], name);
      assert.equal(failure.cause, raw);
    }
    const misuse = new TypeError('misuse');
    assert.equal(s3Failure(misuse, { url: 's3://b', bucket: 'b' }), misuse);
  });
});
