/** A wall clock that is set forward and back by hours while a shipper is at work. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { readHead } from '../../../replica/catalogue/head.ts';
import { restorableRanges } from '../../../replica/plan/ranges.ts';
import { openStore } from '../../../replica/store/open.ts';
import type { Target } from '../../../replica/terms/target.ts';
import { loadTimeline } from '../../../replica/catalogue/timeline.ts';
import { verify } from '../../../replica/verification/verify.ts';
import { SYSTEM_CLOCK, type Clock } from '../../../shipper/clock.ts';
import { PollSchedule } from '../../../shipper/helper/sharing/poll-schedule.ts';
import { ShippedDatabase } from '../../../shipper/helper/shipped-database.ts';
import { Stores } from '../../../shipper/helper/sharing/stores.ts';
import { settle } from '../../../shipper/options.ts';
import { PATIENCE, Scene } from '../scene.ts';

const HOUR = 3_600_000;

test('a clock that is set forward and back: heartbeats go on, recorded times never go back, no moment is restored wrong', async (t) => {
  await using scene = new Scene();
  let ahead = 0;
  const clock: Clock = { ...SYSTEM_CLOCK, now: () => Date.now() + ahead };
  // The library of the shipper is the test's own, so both may have the file open in one process.
  const db = new Database(scene.database);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE t (n INTEGER)');
  const options = { database: scene.database, replica: scene.bucket, syncInterval: '20ms', heartbeat: '50ms' };
  const shared = { stores: new Stores(), schedule: new PollSchedule(clock), clock };
  const start = async (): Promise<ShippedDatabase> => {
    const shipment = new ShippedDatabase(settle(options), shared, (event) => scene.events.push(event));
    await shipment.start({ ask: 'start', settings: shipment.settings, owner: 'o', isRestart: false });
    return shipment;
  };
  const times: number[] = [];
  const commit = async (shipment: ShippedDatabase): Promise<void> => {
    times.push(clock.now());
    db.prepare('INSERT INTO t VALUES (?)').run(times.length);
    await shipment.replicator.sync();
  };

  let shipment = await start();
  t.after(() => shipment.stop());
  const store = await openStore(scene.bucket);
  await commit(shipment);
  for (const hours of [3, -3, -2, 5, 0]) {
    ahead = hours * HOUR;
    await commit(shipment);
    // The head tells the time as it is now; how often it does, the clock does not decide.
    const set = clock.now();
    const renewed = async (): Promise<boolean> => Math.abs(((await readHead(store))?.seen ?? 0) - set) < HOUR / 2;
    const limit = performance.now() + PATIENCE; // the wall clock is not to be trusted here
    while (!(await renewed())) {
      assert.ok(performance.now() < limit, `the head is not renewed, ${hours} hours ahead`);
      await sleep(20);
    }
  }
  ahead = -HOUR;
  await shipment.stop();
  shipment = await start();
  await commit(shipment);
  await shipment.stop();
  db.close();

  const rows = async (target: Target): Promise<number> => {
    const { path } = await scene.restore({ target });
    const restored = new Database(path);
    const count = restored.prepare('SELECT count(*) FROM t').pluck().get() as number;
    restored.close();
    return count;
  };
  assert.equal(await rows({ kind: 'latest' }), times.length);
  // A commit has the latest time that was told by then: before the clock was ahead at all, as the clock said …
  const highest = times.map((_, i) => Math.max(...times.slice(0, i + 1)));
  assert.equal(await rows({ kind: 'time', time: times[0]! + HOUR }), 1);
  // … and all that came while it was behind again belongs to the moment from which it had gone back.
  assert.equal(await rows({ kind: 'time', time: highest[1]! + HOUR }), 4);
  assert.equal(await rows({ kind: 'time', time: highest[4]! + HOUR }), times.length);
  const { generations } = await loadTimeline(store);
  assert.equal(generations.length, 1, 'no clock is a reason for a new generation');
  for (const { first, last } of await restorableRanges(store, generations[0]!)) assert.ok(first.time <= last.time);
  assert.deepEqual((await verify(store)).problems, []);
  await store.close();
});
