/** Lists and deletions. */
import { Buffer } from 'node:buffer';
import assert from 'node:assert/strict';
import type { Check } from './check.ts';
import { collect, inBatches } from './reading.ts';

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

export function lists(check: Check): void {
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
}
