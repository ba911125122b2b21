/** Objects that are written in parts. */
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import type { Upload } from '../../replica/store/store.ts';
import assert from 'node:assert/strict';
import { type Check, WRONG_ETAG, sizeOfPart, sourceSize } from './check.ts';
import { collect, drain } from './reading.ts';
import { onlyWinner, rejects } from './failures.ts';

export function uploads(check: Check): void {
  check('parts out of order and at the same time make one object; nothing shows before', async (store) => {
    const bodies = [3, 1, 2].map((part) => Buffer.alloc(sizeOfPart(store) + part, part));
    const [third = Buffer.alloc(0), first = Buffer.alloc(0), second = Buffer.alloc(0)] = bodies;
    const upload = await store.upload('up/k');
    assert.equal(upload.key, 'up/k');
    await Promise.all([
      upload.put(3, first.length + second.length, third),
      upload.put(1, 0, first),
      upload.put(2, first.length, second),
    ]);
    assert.equal(await store.head('up/k'), undefined);
    assert.deepEqual(await collect(store.list('')), []);
    assert.deepEqual(await collect(store.folders('')), []);
    const { etag } = await upload.complete();
    assert.equal((await store.head('up/k'))?.etag, etag);
    const expected = Buffer.concat([first, second, third]);
    assert.ok((await store.get('up/k')).body.equals(expected));
    assert.ok((await drain(store.stream('up/k'))).equals(expected));
    assert.deepEqual(await collect(store.unfinished('')), []);
    await upload.abort();
    assert.equal((await store.head('up/k'))?.size, expected.length);
  });

  check('part numbers may have gaps, and a part written again is replaced', async (store) => {
    const size = sizeOfPart(store);
    const upload = await store.upload('k');
    await upload.put(9, size, Buffer.from('end'));
    await upload.put(2, 0, Buffer.alloc(size, 1));
    await upload.put(2, 0, Buffer.alloc(size, 2));
    await upload.complete();
    assert.ok((await store.get('k')).body.equals(Buffer.concat([Buffer.alloc(size, 2), Buffer.from('end')])));
  });

  check('parts that leave a gap, overlap, or move are no object', async (store) => {
    const size = sizeOfPart(store);
    for (const at of [size - 1, size + 1]) {
      const upload = await store.upload('k');
      await upload.put(1, 0, Buffer.alloc(size));
      await upload.put(2, at, Buffer.from('end'));
      await assert.rejects(upload.complete(), RangeError);
      await assert.rejects(upload.put(3, -1, Buffer.from('x')), RangeError);
      await assert.rejects(upload.put(2, size, Buffer.from('end')), RangeError);
      await assert.rejects(upload.put(2, at, Buffer.from('more')), RangeError);
      await upload.abort();
      assert.equal(await store.head('k'), undefined);
    }
  });

  check('one small part is enough, and replaces what was there', async (store) => {
    await store.put('k', Buffer.from('old'));
    const upload = await store.upload('k');
    await upload.put(1, 0, Buffer.from('new'));
    assert.equal((await store.get('k')).body.toString(), 'old');
    await upload.complete();
    assert.equal((await store.get('k')).body.toString(), 'new');
  });

  check('misuse is refused: part numbers, no parts, too small a part, and after the end', async (store) => {
    const upload = await store.upload('k');
    for (const part of [0, -1, 1.5, store.limits.maxParts + 1]) {
      await assert.rejects(upload.put(part, 0, Buffer.from('x')), RangeError, String(part));
    }
    await assert.rejects(upload.complete(), TypeError);
    if (store.limits.minPart > 1) {
      await upload.put(1, 0, Buffer.alloc(store.limits.minPart - 1));
      await upload.put(2, store.limits.minPart - 1, Buffer.from('x'));
      await assert.rejects(upload.complete(), RangeError);
    }
    await upload.abort();
    await assert.rejects(upload.put(1, 0, Buffer.from('x')), TypeError);
    await assert.rejects(upload.complete(), TypeError);
    const done = await store.upload('k');
    await done.put(1, 0, Buffer.from('x'));
    await done.complete();
    await assert.rejects(done.put(2, 1, Buffer.from('x')), TypeError);
    await assert.rejects(done.complete(), TypeError);
  });

  check('copied parts hold the range of the source, and mix with written ones', async (store) => {
    const source = randomBytes(sourceSize(store));
    const { etag } = await store.put("from/s p+%41&b=ü'(1).lz4", source);
    const size = sizeOfPart(store);
    const upload = await store.upload('to');
    await Promise.all([
      upload.copy(1, 0, "from/s p+%41&b=ü'(1).lz4", { offset: 11, length: size }, etag),
      upload.copy(2, size, "from/s p+%41&b=ü'(1).lz4", { offset: 0, length: size + 1 }, etag),
      upload.put(3, 2 * size + 1, Buffer.from('tail')),
    ]);
    await upload.complete('absent');
    const expected = [source.subarray(11, 11 + size), source.subarray(0, size + 1), Buffer.from('tail')];
    assert.ok((await store.get('to')).body.equals(Buffer.concat(expected)));
  });

  check('a copy with a wrong ETag, from nowhere, or past the end fails by its kind', async (store) => {
    const size = sourceSize(store);
    const { etag } = await store.put('from', randomBytes(size));
    const upload = await store.upload('to');
    const range = { offset: 0, length: sizeOfPart(store) };
    const failure = await rejects(upload.copy(1, 0, 'from', range, WRONG_ETAG), 'conflict', 'STORE_CONDITION');
    assert.equal(failure.facts.key, 'from');
    await rejects(upload.copy(1, 0, 'nowhere', range, etag), 'missing', 'STORE_NO_OBJECT');
    await assert.rejects(upload.copy(1, 0, 'from', { offset: 0, length: 0 }, etag), RangeError);
    await assert.rejects(upload.copy(1, 0, 'from', { offset: -1, length: 5 }, etag), RangeError);
    await assert.rejects(upload.copy(1, 0, '../from', range, etag), RangeError);
    const beyond = { offset: size - 10, length: 11 };
    await rejects(upload.copy(2, range.length, 'from', beyond, etag), 'corrupt', 'RANGE_BEYOND_OBJECT');
    await store.put('from', randomBytes(size));
    await rejects(upload.copy(1, 0, 'from', range, etag), 'conflict', 'STORE_CONDITION');
    await upload.abort();
    assert.deepEqual(await collect(store.unfinished('')), []);
  });

  check('complete("absent") loses to an object already there, aborts, and changes nothing', async (store) => {
    const upload = await store.upload('k');
    await upload.put(1, 0, Buffer.from('late'));
    await store.put('k', Buffer.from('early'));
    await rejects(upload.complete('absent'), 'conflict', 'STORE_CONDITION');
    assert.equal((await store.get('k')).body.toString(), 'early');
    assert.deepEqual(await collect(store.unfinished('')), []);
    await upload.abort();
    await assert.rejects(upload.complete('absent'), TypeError);
  });

  check('of 8 uploads racing to complete("absent") one wins', async (store) => {
    const uploads = await Promise.all(
      Array.from({ length: 8 }, async (_, i): Promise<Upload> => {
        const upload = await store.upload('k');
        await upload.put(1, 0, Buffer.from(`upload ${i}`));
        return upload;
      }),
    );
    const winner = await onlyWinner(uploads.map((upload) => upload.complete('absent')));
    assert.equal((await store.get('k')).body.toString(), `upload ${winner}`);
    assert.deepEqual(await collect(store.unfinished('')), []);
  });

  check('abort drops the parts, any number of times, also while parts are on their way', async (store) => {
    const upload = await store.upload('k');
    const size = sizeOfPart(store);
    const writing = [0, 1, 2].map((part) => upload.put(part + 1, part * size, Buffer.alloc(size)));
    const settled = Promise.allSettled(writing);
    await upload.abort();
    await upload.abort();
    await settled;
    assert.deepEqual(await collect(store.unfinished('')), []);
    assert.equal(await store.head('k'), undefined);
  });

  check('unfinished uploads are found below their prefix, and can be aborted from there', async (store) => {
    const before = Date.now();
    const kept = await store.upload('a/one');
    await kept.put(1, 0, Buffer.from('kept'));
    const left = await store.upload('a/two');
    await left.put(1, 0, Buffer.from('left'));
    await store.upload('b/three');
    const found = await collect(store.unfinished('a/'));
    assert.deepEqual(found.map(({ key }) => key).sort(), ['a/one', 'a/two']);
    for (const { started, id } of found) {
      assert.ok(started > before - 60_000 && started < Date.now() + 60_000);
      assert.notEqual(id, '');
    }
    const [two] = found.filter(({ key }) => key === 'a/two');
    await two?.abort();
    await two?.abort();
    await rejects(left.complete(), 'missing', 'STORE_NO_UPLOAD');
    assert.deepEqual((await collect(store.unfinished(''))).map(({ key }) => key).sort(), ['a/one', 'b/three']);
    await kept.complete();
    assert.equal((await store.get('a/one')).body.toString(), 'kept');
    for (const left of await collect(store.unfinished(''))) await left.abort();
    assert.deepEqual(await collect(store.unfinished('')), []);
  });
}
