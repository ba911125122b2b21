/** What the shipper does while the store, or the disk of its staging, does not. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { SeawallError } from '../../replica/errors.ts';
import { openStore } from '../../replica/store/open.ts';
import { loadTimeline } from '../../replica/timeline.ts';
import { parseTarget } from '../../replica/target.ts';
import { verify } from '../../replica/verify.ts';
import type { Shipper, ShipperOptions } from '../../shipper/index.ts';
import { assertSameBytes } from '../history/same-bytes.ts';
import { blobTable } from './blob-table.ts';
import { withFileSystem } from './file-system.ts';
import { Scene, until, type Server } from './scene.ts';

process.env['AWS_ACCESS_KEY_ID'] ??= 'test';
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'test';

/** Everything small, so that a test reaches every bound. */
const SMALL: Partial<ShipperOptions> = {
  retryMax: '200ms',
  checkpointAt: '64KiB',
  sealAt: '128KiB',
  segmentSize: '64KiB',
  stagingLimit: '256KiB',
};

const ready = (scene: Scene, rows = 1500, path = scene.database): Database.Database => blobTable(path, rows, 4000);

/** Commits of a page or two each, and time in between for the helper. */
async function commits(db: Database.Database, count: number): Promise<void> {
  const update = db.prepare('UPDATE t SET b = randomblob(4000) WHERE id = ?');
  for (let i = 0; i < count; i++) {
    update.run(1 + (i % 300));
    if (i % 10 === 0) await sleep(10);
  }
}

const lost = (scene: Scene): string[] =>
  scene.events.filter((event) => event.type === 'lost').map(({ cause }) => cause);
const resumedBy = (scene: Scene): string[] =>
  scene.events.filter((event) => event.type === 'resumed').map(({ cause }) => cause);

/** All is in the bucket, the replica is whole, and no snapshot was needed for it. */
async function madeUpFor(scene: Scene, shipper: Shipper, reasons: readonly string[] = ['new-replica']): Promise<void> {
  await shipper.sync();
  assert.equal((await shipper.status()).state, 'streaming');
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
  assert.deepEqual(scene.reasons(), reasons);
  const { problems } = await verify(await openStore(scene.bucket));
  assert.deepEqual(problems, []);
}

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
    await until(() => lost(scene).length > 0, 20_000);
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
    await until(() => lost(scene).length > 0, 20_000);
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
  let longest = 0;
  for (let i = 0; i < 30; i++) {
    await commits(db, 100);
    longest = Math.max(longest, statSync(`${scene.database}-wal`).size);
  }
  assert.ok(lost(scene).includes('staging-full'));
  assert.ok(longest < 4 << 20, `${longest} bytes of WAL for 12 MB of commits`);
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
  await sleep(500);
  let longest = 0;
  for (let i = 0; i < 40; i++) {
    await commits(db, 50);
    await sleep(50);
    longest = Math.max(longest, statSync(`${scene.database}-wal`).size);
  }
  // SQLite's automatic checkpoint begins at 1,000 frames.
  assert.ok(longest < 1000 * 4120, `${longest} bytes of WAL`);
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
  await until(() => lost(scene).includes('staging-full'), 20_000);
  // One segment is on its way since before; the difference is what follows it.
  let onItsWay: string | undefined;
  server.faults.add({
    kind: 'status',
    status: 503,
    code: 'SlowDown',
    match: (request) => isSegmentPut(request) && (onItsWay ??= request.key) !== request.key,
  });
  server.resume();
  await sleep(500);
  let longest = 0;
  for (let after = 0, i = 0; after < 5 && i < 400; i++) {
    await commits(db, 50);
    await sleep(50);
    if (gaveUp(scene)) after++;
    longest = Math.max(longest, statSync(`${scene.database}-wal`).size);
  }
  assert.ok(gaveUp(scene), 'the snapshot was given up');
  assert.ok(longest < 4 << 20, `${longest} bytes of WAL`);
  assert.equal((await second.status()).state, 'retrying');
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
  const slow = server.faults.add({
    kind: 'slow',
    latency: 3000,
    times: 1,
    match: ({ method, key }) => method === 'PUT' && key.includes('/snapshots/'),
  });
  for (const suffix of ['-wal', '-shm']) rmSync(scene.database + suffix, { force: true });
  renameSync(`${scene.folder}/other.db`, scene.database);
  const db = new Database(scene.database);
  db.pragma('journal_size_limit = 0');
  await until(() => slow.hits === 1, 20_000);
  for (let i = 0; i < 200 && !gaveUp(scene); i++) await commits(db, 20);
  assert.ok(gaveUp(scene), 'the snapshot was given up');
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
  const outage = server.faults.add({ kind: 'slow', latency: 1500, delay: 'operation', after: 1, match: isSegmentPut });
  db.exec('UPDATE t SET b = randomblob(4000)');
  await until(() => outage.hits > 0, 10_000);
  for (let i = 0; i < 40 && lost(scene).length === 0; i++) await commits(db, 20);
  assert.deepEqual(lost(scene), ['staging-full']);
  await until(() => scene.reasons().length + resumedBy(scene).length > 1, 20_000);
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
  // The claim is read before the snapshot is held: from then on nothing is taken.
  let held = false;
  const outage = server.faults.add({
    kind: 'status',
    status: 503,
    code: 'SlowDown',
    match: (request) => {
      held ||= request.method === 'GET' && request.key.endsWith('/claim');
      return held && isSegmentPut(request);
    },
  });
  const [failure] = await Promise.all([shipper.snapshot().catch((error: unknown) => error), commits(db, 700)]);
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
const gaveUp = (scene: Scene): boolean =>
  scene.events.some((event) => event.type === 'problem' && event.error.code === 'SNAPSHOT_GIVEN_UP');

for (const { name, kind, code, faults } of [
  {
    name: 'credentials that expire and come back',
    kind: 'denied',
    code: 'STORE_CREDENTIALS_EXPIRED',
    faults: (server: Server) => server.faults.add({ kind: 'status', status: 403, code: 'ExpiredToken' }),
  },
  {
    name: 'a storm of 503 SlowDown',
    kind: 'unreachable',
    code: 'STORE_THROTTLED',
    faults: (server: Server) => server.faults.add({ kind: 'status', status: 503, code: 'SlowDown' }),
  },
  {
    name: 'a permission that was taken away and given back',
    kind: 'denied',
    code: 'STORE_ACCESS_DENIED',
    faults: (server: Server) => server.faults.add({ kind: 'status', status: 403, code: 'AccessDenied' }),
  },
  {
    name: 'a server that fails',
    kind: 'unreachable',
    code: 'STORE_SERVER_ERROR',
    faults: (server: Server) => server.faults.add({ kind: 'status', status: 500, code: 'InternalError' }),
  },
] as const) {
  test(`${name}: told by name, tried again with pauses, and made up for`, async () => {
    await using scene = new Scene();
    const server = await scene.serve();
    const db = ready(scene, 100);
    const shipper = await scene.ship({ ...SMALL, stagingLimit: '100MiB' });
    await shipper.sync();
    faults(server);
    server.resetCounters();
    const from = performance.now();
    await commits(db, 200);
    await until(() => problems(scene).includes(code), 20_000);
    const status = await shipper.status();
    assert.deepEqual([status.state, status.problem?.kind, status.problem?.code], ['retrying', kind, code]);
    await sleep(2000);
    const tries = scene.events.filter((event) => event.type === 'problem').length;
    const most = (performance.now() - from) / 100 + 8;
    assert.ok(tries <= most, `${tries} tries where pauses allow ${most}`);
    server.faults.clear();
    await madeUpFor(scene, shipper);
    assert.deepEqual(lost(scene), []);
    assert.ok(scene.events.some((event) => event.type === 'recovered'));
    await shipper.stop();
    db.close();
  });
}

const problems = (scene: Scene): string[] =>
  scene.events.filter((event) => event.type === 'problem').map(({ error }) => error.code);

test('a slow network slows nothing but the backup', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = ready(scene, 100);
  const shipper = await scene.ship(SMALL);
  server.faults.add({ kind: 'slow', latency: 700 });
  await commits(db, 300);
  server.faults.clear();
  await madeUpFor(scene, shipper);
  await shipper.stop();
  db.close();
});

test('every acknowledgement lost once: each object is adopted as our own', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = ready(scene, 100);
  const shipper = await scene.ship({ ...SMALL, stagingLimit: '100MiB' });
  const seen = new Set<string>();
  server.faults.add({
    kind: 'lost-ack',
    match: ({ method, key }) => method === 'PUT' && !seen.has(key) && seen.add(key) === seen,
  });
  await commits(db, 300);
  await madeUpFor(scene, shipper);
  assert.ok(seen.size > 3);
  assert.deepEqual(lost(scene), []);
  await shipper.stop();
  db.close();
});

test('a bucket that was deleted and made anew gets a whole replica again before anything is acknowledged', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = ready(scene, 200);
  const shipper = await scene.ship({ ...SMALL, stagingLimit: '100MiB' });
  await shipper.sync();
  const away = server.faults.add({ kind: 'status', status: 404, code: 'NoSuchBucket' });
  await commits(db, 50);
  await until(() => problems(scene).includes('STORE_NO_BUCKET'), 20_000);
  assert.equal((await shipper.status()).problem?.kind, 'missing');
  const store = await openStore(scene.bucket);
  const keys = server.objects('b').map(({ key }) => key.slice('app/'.length));
  away.remove();
  await store.delete(keys);
  await madeUpFor(scene, shipper, ['new-replica', 'new-replica']);
  assert.deepEqual(lost(scene), ['replica-lost']);
  await shipper.stop();
  db.close();
});

test('an endpoint that refuses connections, and a name that is not known, are errors at start', async () => {
  await using scene = new Scene();
  const db = ready(scene, 10);
  for (const endpoint of ['http://127.0.0.1:9', 'http://no-such-host.invalid:9']) {
    scene.bucket = `s3://b/app?region=us-east-1&endpoint=${encodeURIComponent(endpoint)}`;
    await assert.rejects(
      scene.ship(SMALL),
      (error) => error instanceof SeawallError && error.kind === 'unreachable' && error.code.includes('STORE_'),
    );
  }
  db.close();
});
