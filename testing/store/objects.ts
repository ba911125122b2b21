/** Objects, written and read as a whole. */
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import assert from 'node:assert/strict';
import type { Check } from './check.ts';
import { collect, drain } from './reading.ts';
import { rejects } from './failures.ts';

export function wholeObjects(check: Check): void {
  check('put, get and head agree on bytes, size and ETag', async (store) => {
    const body = randomBytes(5000);
    const { etag } = await store.put('a/b', body);
    const read = await store.get('a/b');
    assert.deepEqual(read.body, body);
    assert.equal(read.size, 5000);
    assert.equal(read.etag, etag);
    const head = await store.head('a/b');
    assert.deepEqual(head, { key: 'a/b', size: 5000, etag, lastModified: read.lastModified });
    const [listed] = await collect(store.list(''));
    assert.equal(listed?.size, 5000);
    assert.equal(listed.etag, etag);
    assert.ok(Math.abs(listed.lastModified - read.lastModified) < 1000);
  });

  check('an empty object is an object', async (store) => {
    await store.put('empty', Buffer.alloc(0));
    assert.equal((await store.head('empty'))?.size, 0);
    assert.equal((await store.get('empty')).body.length, 0);
    assert.equal((await store.get('empty', { suffix: 5 })).body.length, 0);
    assert.equal((await store.get('empty', { offset: 0, length: 0 })).body.length, 0);
    assert.equal((await drain(store.stream('empty'))).length, 0);
    await rejects(store.get('empty', { offset: 0, length: 1 }), 'corrupt', 'RANGE_BEYOND_OBJECT');
  });

  check('a Uint8Array that views a larger buffer writes only its own bytes', async (store) => {
    const large = new Uint8Array(100).fill(7);
    await store.put('view', large.subarray(10, 13));
    assert.deepEqual((await store.get('view')).body, Buffer.from([7, 7, 7]));
  });

  check('bytes read are the reader’s own', async (store) => {
    const body = Buffer.from('original');
    await store.put('k', body);
    body.fill(0);
    (await store.get('k')).body.fill(0);
    for await (const piece of store.stream('k')) piece.fill(0);
    assert.equal((await store.get('k')).body.toString(), 'original');
  });

  check('putting again replaces, and changes the ETag', async (store) => {
    const first = await store.put('k', Buffer.from('one'));
    const second = await store.put('k', Buffer.from('two'));
    assert.notEqual(first.etag, second.etag);
    assert.equal((await store.get('k')).body.toString(), 'two');
    assert.equal((await store.head('k'))?.etag, second.etag);
  });

  check('lastModified is the time of the write', async (store) => {
    const before = Date.now();
    await store.put('k', Buffer.from('x'));
    const { lastModified = 0 } = (await store.head('k')) ?? {};
    // S3 gives whole seconds; another machine's clock may be off by some.
    assert.ok(lastModified > before - 60_000 && lastModified < Date.now() + 60_000, String(lastModified));
  });

  check('what is not there: head gives undefined, reads are "missing" and name the key', async (store) => {
    await store.put('there/x', Buffer.from('x'));
    assert.equal(await store.head('there'), undefined);
    assert.equal(await store.head('there/x/y'), undefined);
    assert.equal(await store.head('nowhere/at/all'), undefined);
    for (const key of ['gone', 'there', 'nowhere/at/all']) {
      const failure = await rejects(store.get(key), 'missing', 'STORE_NO_OBJECT');
      assert.equal(failure.facts.key, key);
      assert.match(failure.message, new RegExp(key));
      await rejects(store.get(key, { suffix: 1 }), 'missing', 'STORE_NO_OBJECT');
      await rejects(store.get(key, { offset: 0, length: 0 }), 'missing', 'STORE_NO_OBJECT');
      await rejects(drain(store.stream(key)), 'missing', 'STORE_NO_OBJECT');
    }
  });

  check('keys that are none are RangeErrors everywhere', async (store) => {
    const bad = ['', '/a', 'a/', 'a//b', '.', '..', '../a', 'a/../b', 'a/./b', 'nul\0', '\ud800', 'x'.repeat(1025)];
    for (const key of bad) {
      const calls = [
        () => store.head(key),
        () => store.get(key),
        () => drain(store.stream(key)),
        () => store.put(key, Buffer.from('x')),
        () => store.upload(key),
        () => store.delete(['fine', key]),
      ];
      for (const call of calls) await assert.rejects(async () => await call(), RangeError, JSON.stringify(key));
    }
    for (const prefix of ['/', 'a//', '../../../store/', 'nul\0']) {
      await assert.rejects(collect(store.list(prefix)), RangeError, prefix);
      await assert.rejects(collect(store.unfinished(prefix)), RangeError, prefix);
    }
    await assert.rejects(collect(store.folders('no-slash')), RangeError);
    assert.deepEqual(await collect(store.list('')), []);
  });

  check('after close() every method is refused', async (store) => {
    await store.put('k', Buffer.from('x'));
    await store.close();
    const calls = [
      () => store.head('k'),
      () => store.get('k'),
      () => drain(store.stream('k')),
      () => collect(store.list('')),
      () => collect(store.folders('')),
      () => store.put('k', Buffer.from('y')),
      () => store.upload('k'),
      () => store.delete(['k']),
      () => store.probeConditions('p'),
      () => collect(store.unfinished('')),
    ];
    for (const call of calls) await assert.rejects(async () => await call(), TypeError, String(call));
  });
}
