/** A store below a prefix of another. */
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { scoped } from '../../replica/store/scoped.ts';
import assert from 'node:assert/strict';
import { type Check, sizeOfPart, sourceSize } from './check.ts';
import { collect, drain } from './reading.ts';
import { rejects } from './failures.ts';

export function scopes(check: Check): void {
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
}
