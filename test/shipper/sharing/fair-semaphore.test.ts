/** Turns at reading a database as a wholeReads: who waits for something else lets others go first. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { underHeldSnapshot } from '../../../shipper/helper/snapshot/held-snapshot.ts';
import { LiveDatabase } from '../../../shipper/helper/database/live-database.ts';
import { FairSemaphore } from '../../../shipper/helper/sharing/fair-semaphore.ts';
import { Scratch } from '../../history/scratch.ts';
import { blobTable } from '../blob-table.ts';
import { SYSTEM_CLOCK } from '../../../shipper/clock.ts';

test('a snapshot that waits for the store before it begins gives its turn to another database', async () => {
  using scratch = new Scratch();
  const path = join(scratch.path, 'app.db');
  blobTable(path, 1).close();
  const live = LiveDatabase.open(path, SYSTEM_CLOCK);
  const { signal } = new AbortController();
  const wholeReads = new FairSemaphore(1);
  const store = Promise.withResolvers<undefined>();
  const settings = {
    clock: SYSTEM_CLOCK,
    signal,
    wholeReads,
    limits: { most: 1 << 30, patience: 1 << 30 },
    onBlocked: () => undefined,
  };
  const waiting = wholeReads.run(signal, () =>
    underHeldSnapshot(
      live,
      (locking) => live.hold(() => undefined, locking),
      { ...settings, before: () => store.promise },
      () => Promise.resolve('begun'),
    ),
  );
  assert.equal(await wholeReads.run(signal, () => Promise.resolve('another')), 'another');
  store.resolve(undefined);
  assert.equal(await waiting, 'begun');
  live.close();
});
