/** The store over S3: the contract, answers that were lost, requests that conflict, options. */
import { Buffer } from 'node:buffer';
import { randomBytes, randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { S3Client } from '@aws-sdk/client-s3';
import { SeawallError } from '../../../../replica/terms/errors.ts';
import { s3Failure } from '../../../../replica/store/s3/errors.ts';
import { s3Store, type S3StoreOptions } from '../../../../replica/store/s3/store.ts';
import { storeConformance } from '../../../../testing/index.ts';
import { rejects } from '../../../../testing/store/failures.ts';
import { collect } from '../../../../testing/store/reading.ts';
import assert from 'node:assert/strict';
import { CREDENTIALS, failing, openS3, server } from './s3-scene.ts';

const MiB = 2 ** 20;

for (const checksums of ['when-required', 'when-supported'] as const) {
  storeConformance(`s3, checksums ${checksums}`, () => Promise.resolve(openS3({ checksums })));
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
