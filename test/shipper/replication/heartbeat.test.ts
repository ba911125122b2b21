/** When the head is renewed, by a clock that the test moves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readHead } from '../../../replica/catalogue/head.ts';
import { memoryStore } from '../../../replica/store/memory.ts';
import { Heartbeat } from '../../../shipper/helper/replication/heartbeat.ts';
import { TestClock } from '../test-clock.ts';

const MINUTE = 60_000;
const POINT = {
  generation: '0'.repeat(16),
  index: 3,
  offset: 32,
  wal: undefined,
  sum: { s1: 0, s2: 0 },
  state: { pages: 1, checksum: 5n, time: 1 },
};

test('a heartbeat is due after its interval by the steady clock, and tells the time of the wall clock', async () => {
  const clock = new TestClock();
  const store = memoryStore();
  const heartbeat = new Heartbeat(store, 5 * MINUTE, clock);
  assert.ok(heartbeat.due, 'the first one comes at once');
  await heartbeat.beat(POINT);
  assert.ok(!heartbeat.due);
  clock.set(-60 * MINUTE);
  clock.pass(5 * MINUTE - 1);
  assert.ok(!heartbeat.due);
  clock.pass(1);
  assert.ok(heartbeat.due);
  await heartbeat.beat(POINT);
  assert.equal((await readHead(store))?.seen, clock.now());
  clock.set(60 * MINUTE);
  assert.ok(!heartbeat.due, 'a wall clock that is set makes no heartbeat due');
});

test('after a failure the next heartbeat is due within half a minute', async () => {
  const clock = new TestClock();
  const store = { ...memoryStore(), put: () => Promise.reject(new Error('away')) };
  const heartbeat = new Heartbeat(store, 5 * MINUTE, clock);
  await assert.rejects(heartbeat.beat(POINT), /away/);
  assert.ok(!heartbeat.due);
  clock.pass(30_000);
  assert.ok(heartbeat.due);
});
