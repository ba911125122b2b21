/** What the shipper does while the store, or the disk of its staging, does not. */
import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { SeawallError } from '../../../replica/terms/errors.ts';
import { readShmHeader } from '../../../shipper/helper/database/shm-header.ts';
import type { Shipper } from '../../../shipper/index.ts';
import { openStore } from '../../../replica/store/open.ts';
import { loadTimeline } from '../../../replica/catalogue/timeline.ts';
import { parseTarget } from '../../../replica/terms/target.ts';
import { assertSameBytes } from '../../history/same-bytes.ts';
import { commits, lost, madeUpFor, ready, resumedBy, SMALL } from './outage-scene.ts';
import { withFileSystem } from '../file-system.ts';
import { Scene, until } from '../scene.ts';

for (const [what, harm] of [
  [
    'is removed',
    (folder: string) => {
      renameSync(folder, `${folder}-elsewhere`);
    },
  ],
  [
    'is damaged',
    (folder: string) => {
      const file = join(folder, readdirSync(folder)[0]!);
      const bytes = readFileSync(file);
      bytes[bytes.length >> 1]! ^= 1;
      writeFileSync(file, bytes);
    },
  ],
] as const) {
  test(`staging that ${what} during an outage is given up by name, and the difference is shipped`, async () => {
    await using scene = new Scene();
    const server = await scene.serve();
    const db = ready(scene);
    const shipper = await scene.ship({ ...SMALL, stagingLimit: '100MiB' });
    const folder = join(scene.folder, 'app.db-seawall/staging');
    server.pause();
    while (readdirSync(folder).length < 3) await commits(db, 50);
    harm(folder);
    await commits(db, 300);
    server.resume();
    await until(() => lost(scene).length > 0);
    await madeUpFor(scene, shipper);
    assert.deepEqual(lost(scene), ['staging-lost']);
    assert.deepEqual(resumedBy(scene), ['staging-lost']);
    await shipper.stop();
    db.close();
  });
}

test('a disk of the state folder that is full costs staging, by name, and never a write of the app', async (t) => {
  await withFileSystem(t, 'size=400k', async (folder) => {
    await using scene = new Scene();
    const server = await scene.serve();
    const db = ready(scene);
    const shipper = await scene.ship({ ...SMALL, stagingLimit: '100MiB', stateFolder: join(folder, 'state') });
    server.pause();
    await commits(db, 700);
    await until(() => lost(scene).length > 0);
    const status = await shipper.status();
    assert.equal(status.lost, 'staging-full');
    assert.equal(status.staged, 0, 'the disk is let go at once');
    await commits(db, 100);
    server.resume();
    await madeUpFor(scene, shipper);
    assert.ok(resumedBy(scene).every((cause) => cause === 'staging-full'));
    await shipper.stop();
    db.close();
  });
});

test('the WAL is kept short through an outage of any length, also when nothing can be captured any more', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = ready(scene);
  db.pragma('journal_size_limit = 0');
  const shipper = await scene.ship(SMALL);
  server.pause();
  // Only a helper that lets the WAL go makes it short again, at its own pace: without that it only grows.
  for (let i = 0; i < 30; i++) {
    await commits(db, 100);
    await shortened(scene, db);
  }
  assert.ok(lost(scene).includes('staging-full'));
  server.resume();
  await madeUpFor(scene, shipper);
  await shipper.stop();
  db.close();
});

test('in an outage indexes end before the app’s own checkpoints would begin, so its commits do not pay for them', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = ready(scene, 300);
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.pragma('journal_size_limit = 0');
  const shipper = await scene.ship({ retryMax: '200ms', segmentSize: '512KiB', stagingLimit: '2MiB' });
  server.pause();
  // SQLite's automatic checkpoint begins at 1,000 frames. From half of that on, the app waits for the helper.
  let longest = 0;
  for (let i = 0; i < 200; i++) {
    await commits(db, 10);
    longest = Math.max(longest, framesOf(scene).frames);
    if (framesOf(scene).frames > 500) await until(() => framesOf(scene).backfilled === framesOf(scene).frames);
  }
  assert.ok(longest < 1000, `${longest} frames in the WAL`);
  await until(() => lost(scene).length > 0);
  assert.deepEqual(lost(scene), ['staging-full'], 'both before and after staging was given up');
  server.resume();
  await madeUpFor(scene, shipper, scene.reasons());
  await shipper.stop();
  db.close();
});

test('an outage in the middle of a difference gives the held snapshot up, and the WAL with it', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = ready(scene);
  db.pragma('journal_size_limit = 0');
  const first = await scene.ship(SMALL);
  await first.stop();
  db.exec('UPDATE t SET b = randomblob(4000) WHERE id < 300');
  const outage = server.faults.add({ kind: 'status', status: 503, code: 'SlowDown', match: isSegmentPut });
  const shipper = scene.ship(SMALL).catch((error: unknown) => error);
  assert.ok((await shipper) instanceof SeawallError, 'a first start tells the failure at once');
  outage.remove();

  const second = await scene.ship(SMALL);
  server.pause();
  await commits(db, 700);
  await until(() => lost(scene).includes('staging-full'));
  // One segment is on its way since before; the difference is what follows it.
  let onItsWay: string | undefined;
  server.faults.add({
    kind: 'status',
    status: 503,
    code: 'SlowDown',
    match: (request) => isSegmentPut(request) && (onItsWay ??= request.key) !== request.key,
  });
  server.resume();
  await givenUp(scene, db);
  await shortened(scene, db);
  await until(async () => (await second.status()).state === 'retrying');
  server.faults.clear();
  await second.sync();
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
  // The first segment may have arrived just when the rest was given up; the beginning of a transaction is not continued.
  const [begun, ...others] = scene.reasons();
  assert.equal(begun, 'new-replica');
  assert.ok(others.length === 0 || others.join() === 'unfinished-transaction', others.join());
  await second.stop();
  db.close();
});

test('a snapshot that was given up but arrived all the same is gone on from, not made anew', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  ready(scene).close();
  const shipper = await scene.ship(SMALL);
  await shipper.sync();
  // Nothing in common with what is shipped: a generation of its own.
  const other = ready(scene, 1500, `${scene.folder}/other.db`);
  other.close();
  const arrival = Promise.withResolvers<undefined>();
  const slow = server.faults.add({
    kind: 'slow',
    latency: arrival.promise,
    times: 1,
    match: ({ method, key }) => method === 'PUT' && key.includes('/snapshots/'),
  });
  for (const suffix of ['-wal', '-shm']) rmSync(scene.database + suffix, { force: true });
  renameSync(`${scene.folder}/other.db`, scene.database);
  const db = new Database(scene.database);
  db.pragma('journal_size_limit = 0');
  await until(() => slow.hits === 1);
  await commits(db, 200);
  await watched(shipper);
  arrival.resolve(undefined);
  await givenUp(scene, db);
  await shipper.sync();
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
  assert.deepEqual(resumedBy(scene), ['database-replaced']);
  const { generations } = await loadTimeline(await openStore(scene.bucket));
  assert.equal(generations.length, 2, 'the former file’s generation, and that of the snapshot');
  await shipper.stop();
  db.close();
});

test('the head never names a place inside a transaction, also when continuity is lost in the middle of one', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = ready(scene, 100);
  const shipper = await scene.ship({ ...SMALL, stagingLimit: 0, heartbeat: '1ms' });
  await shipper.sync();
  const heads: string[] = [];
  server.events.subscribe('b', { prefix: 'app/' }, ({ Records }) => {
    for (const { s3 } of Records) {
      if (s3.object.key.endsWith('/head'))
        heads.push(
          (JSON.parse(server.peek('b', s3.object.key).toString()) as { body: { position: string } }).body.position,
        );
    }
  });
  // Of a transaction of many segments the first arrives; while the second is on its way, staging is given up.
  const arrival = Promise.withResolvers<undefined>();
  const latency = arrival.promise;
  const outage = server.faults.add({ kind: 'slow', latency, delay: 'operation', after: 1, match: isSegmentPut });
  db.exec('UPDATE t SET b = randomblob(4000)');
  await until(() => outage.hits > 0);
  await until(async () => {
    await commits(db, 20);
    return lost(scene).length > 0;
  });
  assert.deepEqual(lost(scene), ['staging-full']);
  arrival.resolve(undefined);
  await until(() => scene.reasons().length + resumedBy(scene).length > 1);
  outage.remove();
  await madeUpFor(scene, shipper, scene.reasons());
  await shipper.stop();
  db.close();
  assert.ok(heads.length > 0);
  for (const head of new Set(heads)) await scene.restore({ target: parseTarget(head) });
});

test('an outage in the middle of snapshot() gives it up, and shipping goes on where it was', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = ready(scene);
  db.pragma('journal_size_limit = 0');
  const shipper = await scene.ship({ ...SMALL, sealAt: '1MiB', stagingLimit: '1MiB' });
  await shipper.sync();
  // Whether there is one already is asked for while it is held.
  const answer = Promise.withResolvers<undefined>();
  const outage = server.faults.add({
    kind: 'slow',
    latency: answer.promise,
    match: ({ method, key }) => method === 'HEAD' && key.includes('/snapshots/'),
  });
  const snapshot = shipper.snapshot().catch((error: unknown) => error);
  await until(() => outage.hits === 1);
  await commits(db, 700);
  await watched(shipper);
  answer.resolve(undefined);
  const failure = await snapshot;
  assert.ok(failure instanceof SeawallError && failure.code === 'SNAPSHOT_GIVEN_UP', String(failure));
  outage.remove();
  await madeUpFor(scene, shipper);
  await shipper.snapshot();
  await madeUpFor(scene, shipper);
  await shipper.stop();
  db.close();
});

const isSegmentPut = ({ method, key }: { readonly method: string; readonly key?: string | undefined }): boolean =>
  method === 'PUT' && key?.includes('/wal/') === true;

/** Commits until a held snapshot was given up. */
const givenUp = (scene: Scene, db: Database.Database): Promise<void> =>
  until(async () => {
    await commits(db, 20);
    return scene.events.some((event) => event.type === 'problem' && event.error.code === 'SNAPSHOT_GIVEN_UP');
  });

/** Commits until the WAL file is shorter than a few indexes. */
const shortened = (scene: Scene, db: Database.Database): Promise<void> =>
  until(async () => {
    await commits(db, 10);
    return statSync(`${scene.database}-wal`).size < 1 << 20;
  });

/**
 * The helper's watch of the held snapshot has seen all that was committed before: its timer, of 100 ms, is due by then,
 * and between two answers of the helper every timer that is due has its turn.
 */
async function watched(shipper: Shipper): Promise<void> {
  await sleep(300);
  for (let i = 0; i < 3; i++) await shipper.status();
}

/** How many frames are in the WAL, and how many of them checkpoints have copied into the database file. */
function framesOf(scene: Scene): { readonly frames: number; readonly backfilled: number } {
  const fd = openSync(`${scene.database}-shm`, 'r');
  try {
    return readShmHeader(fd) ?? { frames: 0, backfilled: 0 };
  } finally {
    closeSync(fd);
  }
}
