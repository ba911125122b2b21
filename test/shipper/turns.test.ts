/** Turns at reading a database as a whole: who waits for something else lets others go first. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { underHeldSnapshot } from '../../shipper/helper/held-snapshot.ts';
import { LiveDatabase } from '../../shipper/helper/live-database.ts';
import { Turns } from '../../shipper/helper/turns.ts';
import { Scratch } from '../history/scratch.ts';
import { blobTable } from './blob-table.ts';

test('a snapshot that waits for the store before it begins gives its turn to another database', async () => {
  using scratch = new Scratch();
  const path = join(scratch.path, 'app.db');
  blobTable(path, 1).close();
  const live = LiveDatabase.open(path);
  const { signal } = new AbortController();
  const whole = new Turns(1);
  const store = Promise.withResolvers<undefined>();
  const settings = { signal, whole, limits: { most: 1 << 30, patience: 1 << 30 }, onBlocked: () => undefined };
  const waiting = whole.take(signal, () =>
    underHeldSnapshot(
      live,
      (locking) => live.hold(() => undefined, locking),
      { ...settings, before: () => store.promise },
      () => Promise.resolve('begun'),
    ),
  );
  assert.equal(await whole.take(signal, () => Promise.resolve('another')), 'another');
  store.resolve(undefined);
  assert.equal(await waiting, 'begun');
  live.close();
});
