/** What tests of outages share: a shipper whose bounds are soon reached, a busy app, and how all is made up for. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type Database from 'better-sqlite3';
import { openStore } from '../../../replica/store/open.ts';
import { verify } from '../../../replica/verification/verify.ts';
import type { Shipper, ShipperOptions } from '../../../shipper/index.ts';
import { assertSameBytes } from '../../history/same-bytes.ts';
import { blobTable } from '../blob-table.ts';
import type { Scene } from '../scene.ts';

process.env['AWS_ACCESS_KEY_ID'] ??= 'test';
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'test';

/** Everything small, so that a test reaches every bound. */
export const SMALL: Partial<ShipperOptions> = {
  retryMax: '200ms',
  checkpointAt: '64KiB',
  sealAt: '128KiB',
  segmentSize: '64KiB',
  stagingLimit: '256KiB',
};

export const ready = (scene: Scene, rows = 1500, path = scene.database): Database.Database =>
  blobTable(path, rows, 4000);

/** Commits of a page or two each, and time in between for the helper. */
export async function commits(db: Database.Database, count: number): Promise<void> {
  const update = db.prepare('UPDATE t SET b = randomblob(4000) WHERE id = ?');
  for (let i = 0; i < count; i++) {
    update.run(1 + (i % 300));
    if (i % 10 === 0) await sleep(10);
  }
}

export const lost = (scene: Scene): string[] =>
  scene.events.filter((event) => event.type === 'lost').map(({ cause }) => cause);
export const resumedBy = (scene: Scene): string[] =>
  scene.events.filter((event) => event.type === 'resumed').map(({ cause }) => cause);

/** All is in the bucket, the replica is whole, and no snapshot was needed for it. */
export async function madeUpFor(
  scene: Scene,
  shipper: Shipper,
  reasons: readonly string[] = ['new-replica'],
): Promise<void> {
  await shipper.sync();
  assert.equal((await shipper.status()).state, 'streaming');
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
  assert.deepEqual(scene.reasons(), reasons);
  const { problems } = await verify(await openStore(scene.bucket));
  assert.deepEqual(problems, []);
}

export const problems = (scene: Scene): string[] =>
  scene.events.filter((event) => event.type === 'problem').map(({ error }) => error.code);
