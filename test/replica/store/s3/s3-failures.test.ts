/** The store over S3, where the server fails or refuses. */
import { Buffer } from 'node:buffer';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { isKind, SeawallError, type ErrorKind } from '../../../../replica/terms/errors.ts';
import type { Store } from '../../../../replica/store/store.ts';
import { rejects } from '../../../../testing/store/failures.ts';
import { collect, drain } from '../../../../testing/store/reading.ts';
import assert from 'node:assert/strict';
import { CREDENTIALS, failing, guarded, openOdd, openS3, server } from './s3-scene.ts';

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
    await rejects(store.get('k'), 'unreachable', 'STORE_TIMEOUT');
    await rejects(store.put('k', Buffer.from('x'), 'absent'), 'unreachable', 'STORE_TIMEOUT');
    await rejects(store.head('k'), 'unreachable', 'STORE_TIMEOUT');
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
