/** Writes on conditions. */
import { Buffer } from 'node:buffer';
import assert from 'node:assert/strict';
import { type Check, WRONG_ETAG } from './check.ts';
import { collect } from './reading.ts';
import { onlyWinner, rejects } from './failures.ts';

export function conditions(check: Check): void {
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
}
