/** Ranges of objects, and objects in pieces. */
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import assert from 'node:assert/strict';
import { type Check, KiB, MiB } from './check.ts';
import { drain } from './reading.ts';
import { assertKind, rejects } from './failures.ts';

export function rangesAndStreams(check: Check): void {
  check('ranges are exact', async (store) => {
    const body = randomBytes(1000);
    const { etag } = await store.put('k', body);
    const cases = [
      [{ offset: 0, length: 1000 }, body],
      [{ offset: 0, length: 1 }, body.subarray(0, 1)],
      [{ offset: 999, length: 1 }, body.subarray(999)],
      [{ offset: 10, length: 20 }, body.subarray(10, 30)],
      [{ offset: 1000, length: 0 }, Buffer.alloc(0)],
      [{ offset: 3, length: 0 }, Buffer.alloc(0)],
      [{ suffix: 7 }, body.subarray(993)],
      [{ suffix: 1000 }, body],
      [{ suffix: 5000 }, body],
      [{ suffix: 0 }, Buffer.alloc(0)],
    ] as const;
    for (const [range, expected] of cases) {
      const read = await store.get('k', range);
      assert.deepEqual(read.body, expected, JSON.stringify(range));
      assert.equal(read.size, 1000);
      assert.equal(read.etag, etag);
      assert.deepEqual(await drain(store.stream('k', range)), expected, JSON.stringify(range));
    }
  });

  check('a range past the end is an error, never a short answer', async (store) => {
    await store.put('k', randomBytes(1000));
    const ranges = [
      { offset: 0, length: 1001 },
      { offset: 999, length: 2 },
      { offset: 1000, length: 1 },
      { offset: 5000, length: 1 },
      { offset: 1001, length: 0 },
    ];
    for (const range of ranges) {
      const failure = await rejects(store.get('k', range), 'corrupt', 'RANGE_BEYOND_OBJECT');
      assert.equal(failure.facts.key, 'k');
      assert.equal(failure.facts.actual, 1000);
      await rejects(drain(store.stream('k', range)), 'corrupt', 'RANGE_BEYOND_OBJECT');
    }
  });

  check('ranges that are no numbers are RangeErrors', async (store) => {
    await store.put('k', randomBytes(10));
    const ranges = [{ offset: -1, length: 1 }, { offset: 0, length: -1 }, { offset: 0.5, length: 1 }, { suffix: -1 }];
    for (const range of [...ranges, { offset: Number.NaN, length: 1 }, { suffix: Number.POSITIVE_INFINITY }]) {
      await assert.rejects(store.get('k', range), RangeError, JSON.stringify(range));
      await assert.rejects(drain(store.stream('k', range)), RangeError, JSON.stringify(range));
    }
  });

  check('a large object streams whole, in small pieces, also from several readers at once', async (store) => {
    const body = randomBytes(9 * MiB + 13);
    await store.put('large', body);
    const read = async (): Promise<void> => {
      let done = 0;
      for await (const piece of store.stream('large')) {
        assert.ok(piece.length > 0 && piece.length <= 512 * KiB, `a piece of ${piece.length}`);
        assert.ok(piece.equals(body.subarray(done, done + piece.length)), `bytes differ from ${done}`);
        done += piece.length;
      }
      assert.equal(done, body.length);
    };
    await Promise.all([read(), read(), read()]);
    const part = await drain(store.stream('large', { offset: 1_000_001, length: 5 * MiB }));
    assert.ok(part.equals(body.subarray(1_000_001, 1_000_001 + 5 * MiB)));
  });

  check('a stream left early lets go', async (store) => {
    await store.put('large', randomBytes(4 * MiB));
    for (let i = 0; i < 60; i++) {
      for await (const piece of store.stream('large')) {
        assert.ok(piece.length > 0);
        break;
      }
    }
    assert.equal((await store.get('large', { suffix: 3 })).body.length, 3);
  });

  check('an object replaced while it streams is never read as a mixture', async (store) => {
    const old = Buffer.alloc(9 * MiB, 1);
    await store.put('k', old);
    let read = 0;
    let failure: unknown;
    try {
      for await (const piece of store.stream('k')) {
        if (read === 0) await store.put('k', Buffer.alloc(9 * MiB, 2));
        assert.ok(piece.equals(old.subarray(0, piece.length)), `new bytes at ${read}`);
        read += piece.length;
      }
    } catch (error) {
      failure = error;
    }
    if (failure !== undefined) assertKind(failure, 'conflict', 'STORE_OBJECT_CHANGED');
    else assert.equal(read, old.length);
  });
}
