/** The store over S3, where bodies break off. */
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import type { Store } from '../../../../replica/store/store.ts';
import { rejects } from '../../../../testing/store/failures.ts';
import { drain } from '../../../../testing/store/reading.ts';
import assert from 'node:assert/strict';
import { failing, openOdd, openS3, server } from './s3-scene.ts';

const MiB = 2 ** 20;

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
    const store = openS3({ requestTimeout: 1500 });
    await store.put('k', randomBytes(8 * MiB));
    for (let i = 0; i < 55; i++) {
      for await (const piece of store.stream('k')) {
        assert.ok(piece.length > 0);
        break;
      }
    }
    let length = 0;
    for await (const piece of store.stream('k')) {
      if (length === 0) await new Promise((resolve) => setTimeout(resolve, 2000));
      length += piece.length;
    }
    assert.equal(length, 8 * MiB);
  });
});
