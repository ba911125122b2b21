/**
 * The storage contract (replica/store/store.ts) as tests: every backend runs all of them, and each can fail.
 */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { SeawallError } from '../../replica/errors.ts';
import type { ErrorKind } from '../../replica/errors.ts';
import { scoped } from '../../replica/store/scoped.ts';
import type { Store, Upload } from '../../replica/store/store.ts';

export interface OpenedStore {
  /** Empty, and no other test's. */
  readonly store: Store;
  readonly close: () => Promise<void>;
}

const KiB = 1024;
const MiB = 1024 * KiB;
const WRONG_ETAG = '"ffffffffffffffffffffffffffffffff"';

/** In the byte order of their UTF-8. UTF-16 order would put the last two the other way round. */
const AWKWARD = [
  ' leading',
  'A',
  "a b+c&d=e'(1)!*~.lz4",
  'a%2Fb',
  'a-b',
  'a-b/c',
  'a/b',
  'a/b-c',
  'a/b0',
  'a/c/d',
  'a0',
  'a<>"b',
  'ab',
  'e\u0301',
  'z',
  '\u00e9',
  '\uff5e',
  '\u{10000}',
];

export function storeConformance(name: string, open: () => Promise<OpenedStore>): void {
  const check = (title: string, body: (store: Store) => Promise<void>): void => {
    test(title, async () => {
      const { store, close } = await open();
      try {
        await body(store);
      } finally {
        await close();
      }
    });
  };

  describe(`${name}: whole objects`, () => {
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
      for (const prefix of ['/', 'a//', '../', 'nul\0']) {
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
  });

  describe(`${name}: ranges and streams`, () => {
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
  });

  describe(`${name}: conditions`, () => {
    check('"absent" writes once; the loser changes nothing', async (store) => {
      const first = await store.put('k', Buffer.from('first'), 'absent');
      const failure = await rejects(store.put('k', Buffer.from('other'), 'absent'), 'conflict', 'STORE_CONDITION');
      assert.equal(failure.facts.key, 'k');
      const read = await store.get('k');
      assert.equal(read.body.toString(), 'first');
      assert.equal(read.etag, first.etag);
    });

    check(
      '"absent" again with the very same bytes is success; with bytes of the same length it is not',
      async (store) => {
        const first = await store.put('k', Buffer.from('bytes'), 'absent');
        assert.deepEqual(await store.put('k', Buffer.from('bytes'), 'absent'), first);
        await rejects(store.put('k', Buffer.from('BYTES'), 'absent'), 'conflict');
        await rejects(store.put('k', Buffer.from('bytes!'), 'absent'), 'conflict');
        await rejects(store.put('k', Buffer.from(''), 'absent'), 'conflict');
      },
    );

    check('"absent" writes again after a delete', async (store) => {
      await store.put('k', Buffer.from('1'), 'absent');
      await store.delete(['k']);
      await store.put('k', Buffer.from('2'), 'absent');
      assert.equal((await store.get('k')).body.toString(), '2');
    });

    check('ifMatch replaces only the ETag it names', async (store) => {
      const first = await store.put('k', Buffer.from('1'));
      const second = await store.put('k', Buffer.from('2'), { ifMatch: first.etag });
      await rejects(store.put('k', Buffer.from('3'), { ifMatch: first.etag }), 'conflict', 'STORE_CONDITION');
      await rejects(store.put('k', Buffer.from('2'), { ifMatch: first.etag }), 'conflict', 'STORE_CONDITION');
      await rejects(store.put('k', Buffer.from('3'), { ifMatch: WRONG_ETAG }), 'conflict', 'STORE_CONDITION');
      assert.equal((await store.get('k')).body.toString(), '2');
      const { etag = '' } = (await store.head('k')) ?? {};
      assert.equal(etag, second.etag);
      const [listed] = await collect(store.list('k'));
      await store.put('k', Buffer.from('3'), { ifMatch: listed?.etag ?? '' });
      assert.equal((await store.get('k')).body.toString(), '3');
    });

    check('ifMatch on what is not there is a conflict, and makes nothing', async (store) => {
      await rejects(store.put('k', Buffer.from('1'), { ifMatch: WRONG_ETAG }), 'conflict', 'STORE_CONDITION');
      const { etag } = await store.put('k', Buffer.from('1'));
      await store.delete(['k']);
      await rejects(store.put('k', Buffer.from('1'), { ifMatch: etag }), 'conflict', 'STORE_CONDITION');
      assert.equal(await store.head('k'), undefined);
    });

    check('of 20 racing "absent" one wins, and its bytes are there', async (store) => {
      for (let round = 0; round < 3; round++) {
        const key = `race-${round}`;
        const bodies = Array.from({ length: 20 }, (_, i) => Buffer.from(`writer ${i}`.repeat(i + 1)));
        const winner = await onlyWinner(bodies.map((body) => store.put(key, body, 'absent')));
        assert.deepEqual((await store.get(key)).body, bodies[winner]);
      }
    });

    check('of 20 racing ifMatch one wins, and its bytes are there', async (store) => {
      let { etag } = await store.put('k', Buffer.from('start'));
      for (let round = 0; round < 3; round++) {
        const bodies = Array.from({ length: 20 }, (_, i) => Buffer.from(`round ${round} writer ${i}`));
        const winner = await onlyWinner(bodies.map((body) => store.put('k', body, { ifMatch: etag })));
        const read = await store.get('k');
        assert.deepEqual(read.body, bodies[winner]);
        etag = read.etag;
      }
    });

    check('probeConditions finds them honoured, again too, and cleans up', async (store) => {
      assert.equal(await store.probeConditions('seawall/probe'), true);
      await store.put('seawall/probe', Buffer.from('left by an earlier one'));
      assert.equal(await store.probeConditions('seawall/probe'), true);
      assert.equal(await store.head('seawall/probe'), undefined);
    });
  });

  describe(`${name}: lists`, () => {
    check('keys come in the byte order of their UTF-8, awkward ones too', async (store) => {
      // Where `a-b` is an object, `a-b/c` is one on S3, but a folder cannot hold both.
      const keys = AWKWARD.filter((key) => !AWKWARD.some((other) => other.startsWith(`${key}/`)));
      for (const key of [...keys].reverse()) await store.put(key, Buffer.from(key));
      const listed = await collect(store.list(''));
      const expected = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      assert.deepEqual(
        listed.map(({ key }) => key),
        expected,
      );
      for (const key of keys) assert.equal((await store.get(key)).body.toString(), key);
      for (const after of keys) {
        const rest = await collect(store.list('', after));
        assert.deepEqual(
          rest.map(({ key }) => key),
          expected.slice(expected.indexOf(after) + 1),
          `after ${after}`,
        );
      }
      const outcomes = await store.delete(keys);
      assert.deepEqual(
        outcomes,
        keys.map((key) => ({ key })),
      );
      assert.deepEqual(await collect(store.list('')), []);
    });

    check('a prefix may stop inside a component, and `after` need not exist', async (store) => {
      const keys = ['w/1/a', 'w/1/b', 'w/10/a', 'w/2', 'x'];
      for (const key of keys) await store.put(key, Buffer.from('x'));
      const cases = [
        ['w/1', undefined, ['w/1/a', 'w/1/b', 'w/10/a']],
        ['w/1/', undefined, ['w/1/a', 'w/1/b']],
        ['w/', 'w/1/aa', ['w/1/b', 'w/10/a', 'w/2']],
        ['w/1/', 'w/0', ['w/1/a', 'w/1/b']],
        ['w/1/', 'w/1/b', []],
        ['w/1/', 'z', []],
        ['', 'w/1', ['w/1/a', 'w/1/b', 'w/10/a', 'w/2', 'x']],
        ['', 'w/1/', ['w/1/a', 'w/1/b', 'w/10/a', 'w/2', 'x']],
        ['', 'w/2', ['x']],
        ['w/2', undefined, ['w/2']],
        ['w/2/', undefined, []],
        ['nothing/here/', undefined, []],
      ] as const;
      for (const [prefix, after, expected] of cases) {
        const listed = await collect(store.list(prefix, after));
        assert.deepEqual(
          listed.map(({ key }) => key),
          expected,
          `${prefix} after ${after}`,
        );
      }
    });

    check('folders are distinct, in byte order, and only where objects lie below', async (store) => {
      assert.deepEqual(await collect(store.folders('')), []);
      for (const key of ['a/1', 'a/2', 'a-b/1', 'a!/1', 'a0/1', 'file', 'b/c/d/e', 'b/c/f', 'b/g']) {
        await store.put(key, Buffer.from('x'));
      }
      // S3 itself gives `a!/`, `a-b/`, `a/`: the order of the names is another.
      assert.deepEqual(await collect(store.folders('')), ['a', 'a!', 'a-b', 'a0', 'b']);
      assert.deepEqual(await collect(store.folders('b/')), ['c']);
      assert.deepEqual(await collect(store.folders('b/c/')), ['d']);
      assert.deepEqual(await collect(store.folders('file/')), []);
      await store.delete(['a/1', 'a/2', 'b/c/d/e']);
      assert.deepEqual(await collect(store.folders('')), ['a!', 'a-b', 'a0', 'b']);
      assert.deepEqual(await collect(store.folders('b/c/')), []);
    });

    check('2,300 objects are listed whole and deleted whole, with an outcome for each key', async (store) => {
      const keys = Array.from({ length: 2300 }, (_, i) => `wal/${String(i).padStart(8, '0')}.wal.lz4`);
      await inBatches(keys, 50, (key) => store.put(key, Buffer.from(key)));
      assert.deepEqual(
        (await collect(store.list('wal/'))).map(({ key }) => key),
        keys,
      );
      assert.equal((await collect(store.list('wal/', keys[999]))).length, 1300);
      await store.put('wax', Buffer.from('stays'));
      const asked = [...keys, 'never/there'].reverse();
      assert.deepEqual(
        await store.delete(asked),
        asked.map((key) => ({ key })),
      );
      assert.deepEqual(
        (await collect(store.list(''))).map(({ key }) => key),
        ['wax'],
      );
    });

    check('deleting what is not there succeeds; a key given twice has two outcomes', async (store) => {
      assert.deepEqual(await store.delete([]), []);
      await store.put('k', Buffer.from('x'));
      assert.deepEqual(await store.delete(['gone', 'k', 'gone/too', 'k']), [
        { key: 'gone' },
        { key: 'k' },
        { key: 'gone/too' },
        { key: 'k' },
      ]);
      assert.equal(await store.head('k'), undefined);
    });
  });

  describe(`${name}: writes in parts`, () => {
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
  });

  describe(`${name}: scoped`, () => {
    check('a scope sees what lies below its prefix, under relative keys, and nothing else', async (store) => {
      const scope = scoped(store, 'db/one/');
      await store.put('db/one2/k', Buffer.from('other'));
      await store.put('a', Buffer.from('other'));
      const { etag } = await scope.put('x/k', Buffer.from('mine'), 'absent');
      assert.equal(scope.url, `${store.url.replace(/\/$/, '')}/db/one`);
      assert.deepEqual(scope.limits, store.limits);
      assert.equal((await store.get('db/one/x/k')).body.toString(), 'mine');
      assert.equal((await scope.head('x/k'))?.key, 'x/k');
      assert.equal((await scope.get('x/k', { suffix: 2 })).body.toString(), 'ne');
      assert.equal((await drain(scope.stream('x/k'))).toString(), 'mine');
      assert.deepEqual(
        (await collect(scope.list(''))).map(({ key }) => key),
        ['x/k'],
      );
      assert.deepEqual(await collect(scope.list('x/', 'x/k')), []);
      assert.deepEqual(await collect(scope.folders('')), ['x']);
      await scope.put('x/k', Buffer.from('mine too'), { ifMatch: etag });
      assert.equal(await scope.probeConditions('probe'), true);
      assert.deepEqual(await scope.delete(['x/k', 'gone']), [{ key: 'x/k' }, { key: 'gone' }]);
      assert.deepEqual(
        (await collect(store.list(''))).map(({ key }) => key),
        ['a', 'db/one2/k'],
      );
    });

    check('errors of a scope name the relative key in facts and the full place in words', async (store) => {
      const scope = scoped(scoped(store, 'db'), 'one');
      const failure = await rejects(scope.get('gone'), 'missing', 'STORE_NO_OBJECT');
      assert.equal(failure.facts.key, 'gone');
      assert.match(failure.message, /db\/one\/gone/);
      await rejects(drain(scope.stream('gone')), 'missing');
      await assert.rejects(scope.get('../../a'), RangeError);
      assert.throws(() => scoped(store, '../x'), RangeError);
      assert.throws(() => scoped(store, '/'), RangeError);
    });

    check('uploads of a scope are relative too, sources of copies included', async (store) => {
      const scope = scoped(store, 'db');
      const source = randomBytes(sourceSize(store));
      const { etag } = await scope.put('from', source);
      const upload = await scope.upload('to');
      assert.equal(upload.key, 'to');
      const [found] = await collect(scope.unfinished(''));
      assert.equal(found?.key, 'to');
      await upload.copy(1, 0, 'from', { offset: 0, length: sizeOfPart(store) }, etag);
      await upload.put(2, sizeOfPart(store), Buffer.from('end'));
      await upload.complete('absent');
      assert.equal((await store.head('db/to'))?.size, sizeOfPart(store) + 3);
    });

    check('closing a scope leaves the store open', async (store) => {
      const scope = scoped(store, 'db');
      await scope.put('k', Buffer.from('x'));
      await scope.close();
      await assert.rejects(scope.get('k'), TypeError);
      assert.equal((await store.get('db/k')).body.toString(), 'x');
    });
  });
}

/** The least a part may have, and enough to be one where there is no least. */
function sizeOfPart(store: Store): number {
  return Math.max(store.limits.minPart, 64 * KiB);
}

function sourceSize(store: Store): number {
  return Math.max(store.limits.minCopySource, sizeOfPart(store)) + 1000;
}

export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of source) all.push(value);
  return all;
}

export async function drain(source: AsyncIterable<Buffer>): Promise<Buffer> {
  return Buffer.concat(await collect(source));
}

export async function inBatches<T>(
  items: readonly T[],
  size: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  for (let i = 0; i < items.length; i += size) await Promise.all(items.slice(i, i + size).map(work));
}

function assertKind(error: unknown, kind: ErrorKind, code?: string): asserts error is SeawallError {
  if (!(error instanceof SeawallError))
    throw new assert.AssertionError({ message: `not a SeawallError: ${String(error)}` });
  assert.equal(error.kind, kind, error.message);
  if (code !== undefined) assert.equal(error.code, code, error.message);
}

export async function rejects(running: Promise<unknown>, kind: ErrorKind, code?: string): Promise<SeawallError> {
  let failure: unknown;
  try {
    await running;
  } catch (error) {
    failure = error;
  }
  if (failure === undefined) assert.fail(`expected ${kind} ${code ?? ''}, but it succeeded`);
  assertKind(failure, kind, code);
  return failure;
}

/** The index of the one that succeeded; all others must have lost by `conflict`. */
async function onlyWinner(racing: readonly Promise<unknown>[]): Promise<number> {
  const settled = await Promise.allSettled(racing);
  const winners = settled.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []));
  for (const outcome of settled) if (outcome.status === 'rejected') assertKind(outcome.reason, 'conflict');
  assert.equal(winners.length, 1, `${winners.length} winners`);
  return winners[0] ?? 0;
}
