/** The store over servers that are not quite S3. */
import { Buffer } from 'node:buffer';
import { randomBytes, randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { isKind } from '../../../../replica/terms/errors.ts';
import { rejects } from '../../../../testing/store/failures.ts';
import { collect, inBatches } from '../../../../testing/store/reading.ts';
import type { Answer, Quirk } from './s3-proxy.ts';
import assert from 'node:assert/strict';
import { openOdd, openS3, server } from './s3-scene.ts';

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
