import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { compact } from '../../../replica/compaction/compact.ts';
import { SeawallError } from '../../../replica/terms/errors.ts';
import { restorableRanges } from '../../../replica/plan/ranges.ts';
import { snapshotKey } from '../../../replica/terms/layout.ts';
import { readReplicaEnd, type ReplicaEnd } from '../../../replica/takeover/replica-end.ts';
import { openStore } from '../../../replica/store/open.ts';
import type { Store } from '../../../replica/store/store.ts';
import { parseTarget } from '../../../replica/terms/target.ts';
import type { Generation } from '../../../replica/catalogue/generation.ts';
import { loadTimeline } from '../../../replica/catalogue/timeline.ts';
import { verify } from '../../../replica/verification/verify.ts';
import { encodeFrame } from '../../../replica/wal/format.ts';
import type { Shipper } from '../../../shipper/index.ts';
import { blobTable } from '../blob-table.ts';
import { leaveSegment, leaveTransaction } from '../left-behind.ts';
import { crash, Scene } from '../scene.ts';
import { frame } from '../../history/lz4-frame.ts';
import { assertSameBytes } from '../../history/same-bytes.ts';

const PAGE = 4096;

const ready = (scene: Scene, rows = 4000): Database.Database => blobTable(scene.database, rows);

async function current(scene: Scene): Promise<Generation> {
  return (await loadTimeline(await openStore(scene.bucket))).current!;
}

/** Starts again and expects to go on in the same generation; returns bytes uploaded at the start. */
async function resumes(
  scene: Scene,
  way: 'unchanged' | 'difference',
): Promise<{ shipper: Shipper; bytes: number; pages: number }> {
  const before = await current(scene);
  scene.events.length = 0;
  const shipper = await scene.ship();
  const event = scene.events.find(({ type }) => type === 'resumed');
  assert.ok(event?.type === 'resumed', JSON.stringify(scene.events));
  assert.equal(event.way, way);
  assert.deepEqual(scene.reasons(), []);
  const after = await current(scene);
  assert.equal(after.id, before.id);
  assert.equal(after.snapshots.length, before.snapshots.length, 'no snapshot was uploaded');
  return { shipper, bytes: event.bytes, pages: event.pages };
}

async function identical(scene: Scene): Promise<void> {
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
  const { problems } = await verify(await openStore(scene.bucket));
  assert.deepEqual(problems, []);
}

test('a clean restart of an unchanged database uploads a few KiB and stays in its generation', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  let shipper = await scene.ship();
  db.exec("INSERT INTO t (b) VALUES ('one')");
  await shipper.stop();
  for (let round = 0; round < 3; round++) {
    const resumed = await resumes(scene, 'unchanged');
    assert.ok(resumed.bytes < 8 << 10, `${resumed.bytes} bytes`);
    shipper = resumed.shipper;
    if (round === 1) db.exec("INSERT INTO t (b) VALUES ('two')");
    await shipper.sync();
    await identical(scene);
    await shipper.stop();
  }
  db.close();
});

test('after SIGKILL, and changes made without the shipper, only pages that differ are uploaded', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  const first = await scene.ship();
  db.exec('UPDATE t SET b = randomblob(2000) WHERE id < 50');
  await first.sync();
  await crash(first);
  db.exec('UPDATE t SET b = randomblob(2000) WHERE id % 200 = 0'); // some 1 % of the pages
  db.pragma('wal_checkpoint(TRUNCATE)');
  const second = await resumes(scene, 'difference');
  assert.ok(second.pages >= 20 && second.pages < 60, `${second.pages} pages`);
  assert.ok(second.bytes < 1.5 * second.pages * PAGE + (8 << 10), `${second.bytes} bytes`);
  await identical(scene);
  db.exec("INSERT INTO t (b) VALUES ('more')");
  await second.shipper.sync();
  await identical(scene);
  await crash(second.shipper);
  db.exec('DELETE FROM t WHERE id % 3 = 0');
  db.exec('VACUUM');
  db.exec('CREATE TABLE other (a)');
  const third = await scene.ship();
  db.exec('INSERT INTO other VALUES (1)');
  await third.sync();
  await identical(scene);
  const store = await openStore(scene.bucket);
  await third.stop();
  await compact(store, { policy: 'always', now: Date.now() });
  await identical(scene);
  db.close();
});

test('a database that shrank and has no other change is continued, too', async () => {
  await using scene = new Scene();
  const db = ready(scene, 1000);
  db.pragma('auto_vacuum = INCREMENTAL');
  db.exec('VACUUM');
  db.exec('DELETE FROM t WHERE id > 700');
  const first = await scene.ship();
  await first.stop();
  db.exec('PRAGMA incremental_vacuum');
  const { shipper } = await resumes(scene, 'difference');
  await identical(scene);
  await shipper.stop();
  db.close();
});

test('a lost machine: the database comes back from the replica and goes on in the same generation', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  const first = await scene.ship();
  db.exec("INSERT INTO t (b) VALUES ('last words')");
  await first.sync();
  const image = scene.image();
  await crash(first);
  db.close();
  for (const suffix of ['', '-wal', '-shm', '-seawall'])
    rmSync(`${scene.database}${suffix}`, { recursive: true, force: true });
  const before = await current(scene);
  scene.events.length = 0;
  const second = await scene.ship({ restore: 'if-missing' });
  assertSameBytes(readFileSync(scene.database), image);
  assert.deepEqual(scene.reasons(), []);
  assert.equal((await current(scene)).id, before.id);
  const again = new Database(scene.database);
  again.exec("INSERT INTO t (b) VALUES ('new life')");
  await second.sync();
  await identical(scene);
  await second.stop();
  again.close();
});

test('where Litestream had taken over meanwhile, its state comes back, and the shipper begins a generation after it', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  const first = await scene.ship();
  await first.stop();
  db.exec('UPDATE t SET b = randomblob(2000) WHERE id % 200 = 0');
  const store = await openStore(scene.bucket);
  const { id } = await current(scene);
  const image = scene.image();
  const theirs = 'f'.repeat(16);
  await store.put(snapshotKey(theirs, 0, 'lz4'), frame(image));
  db.close();
  for (const suffix of ['', '-wal', '-shm', '-seawall']) {
    rmSync(scene.database + suffix, { recursive: true, force: true });
  }
  scene.events.length = 0;
  const second = await scene.ship({ restore: 'if-missing' });
  assertSameBytes(scene.image(), image);
  assert.deepEqual(scene.reasons(), ['foreign-replica']);
  await second.stop();
  const { generations, claim, beside } = await loadTimeline(store);
  assert.deepEqual(generations.map((each) => each.id), [id, theirs, claim?.generation]); // prettier-ignore
  assert.equal(beside, undefined);
  await identical(scene);
});

test('a database put in place of another one gets a generation of its own, with the reason named', async () => {
  await using scene = new Scene();
  const db = ready(scene);
  const first = await scene.ship();
  await first.stop();
  db.close();
  await using other = new Scene();
  const strange = ready(other);
  strange.pragma('wal_checkpoint(TRUNCATE)');
  strange.close();
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${scene.database}${suffix}`, { force: true });
  copyFileSync(other.database, scene.database);
  scene.events.length = 0;
  const second = await scene.ship();
  assert.deepEqual(scene.reasons(), ['mostly-different']);
  await identical(scene);
  await second.stop();
});

/** A replica whose shipper was stopped, and its end. */
async function stopped(scene: Scene): Promise<{ db: Database.Database; store: Store; end: ReplicaEnd }> {
  const db = ready(scene, 600);
  const first = await scene.ship();
  db.exec("INSERT INTO t (b) VALUES ('one')");
  await first.stop();
  const store = await openStore(scene.bucket);
  return { db, store, end: await readReplicaEnd(store, await current(scene)) };
}

for (const [what, changed] of [
  ['that nobody committed', 0],
  ['and the database went on', 40],
] as const) {
  test(`a replica that ends inside a transaction ${what} is gone on with: the difference ends the transaction`, async () => {
    await using scene = new Scene();
    const { db, store, end } = await stopped(scene);
    // The first half of a transaction of several segments: a page with other content, and two past the database's end.
    const last = end.state.pages;
    await leaveTransaction(store, end, [3, last + 1, last + 2]);
    db.exec(`UPDATE t SET b = randomblob(2000) WHERE id < ${changed}`);
    const { shipper, pages, bytes } = await resumes(scene, 'difference');
    assert.ok(pages >= 1 && pages < 60 && bytes < 1.5 * pages * PAGE + (8 << 10), `${pages} pages, ${bytes} bytes`);
    await identical(scene);
    await isWhole(scene, store);
    db.exec("INSERT INTO t (b) VALUES ('more')");
    await shipper.stop();
    await identical(scene);
    await compact(store, { policy: 'always', now: Date.now() });
    await identical(scene);
    await isWhole(scene, store);
    db.close();
  });
}

test('a transaction at the end of a replica that was begun again and again is ended all the same', async () => {
  await using scene = new Scene();
  const { db, store, end } = await stopped(scene);
  await leaveTransaction(store, end, [3]);
  const again = await readReplicaEnd(store, await current(scene));
  assert.equal(again.unfinished, true);
  await leaveTransaction(store, again, [5]);
  const { shipper } = await resumes(scene, 'difference');
  await identical(scene);
  await isWhole(scene, store);
  await shipper.stop();
  db.close();
});

test('a replica that ends inside a transaction of most pages gets a new generation', async () => {
  await using scene = new Scene();
  const { db, store, end } = await stopped(scene);
  const most = Math.ceil(0.6 * end.state.pages);
  await leaveTransaction(store, end, [...Array(most).keys()].map((i) => i + 1)); // prettier-ignore
  scene.events.length = 0;
  const second = await scene.ship();
  assert.deepEqual(scene.reasons(), ['unfinished-transaction']);
  await identical(scene);
  await second.stop();
  db.close();
});

test('a replica that ends inside a run that repeats older history is gone on with, and nothing of the run is a restore point', async () => {
  await using scene = new Scene();
  const { db, store, end } = await stopped(scene);
  // A page as it once was, committed, in a state that none is to restore.
  const raw = encodeFrame(end.wal!, end.sum, 3, end.state.pages, Buffer.alloc(PAGE, 7)).frame;
  end.hashes.set(3, Buffer.alloc(PAGE, 7));
  end.hashes.commit(end.state.pages);
  const mark = { ...end.state, checksum: end.hashes.checksum, offset: end.offset + raw.length, restorable: false };
  await leaveSegment(store, end, raw, { marks: [mark], endsOnCommit: true });
  const { shipper } = await resumes(scene, 'difference');
  await identical(scene);
  await isWhole(scene, store);
  await shipper.stop();
  await compact(store, { policy: 'always', now: Date.now() });
  await identical(scene);
  await isWhole(scene, store);
  db.close();
});

/** Every end of what can be restored is a database, none a mixture. */
async function isWhole(scene: Scene, store: Store): Promise<void> {
  for (const each of (await loadTimeline(store)).generations) {
    for (const { first, last } of await restorableRanges(store, each)) {
      for (const { position } of [first, last]) {
        const { path } = await scene.restore({ target: parseTarget(position) });
        const restored = new Database(path);
        assert.equal(restored.pragma('integrity_check', { simple: true }), 'ok', position);
        restored.close();
      }
    }
  }
}

for (const changed of [true, false]) {
  const what = changed ? 'and changed' : 'and unchanged';
  test(`a shipper at the start of an index notices that it was taken over by a copy, ${what}; the replica stays whole`, async () => {
    await using scene = new Scene();
    const db = ready(scene, 600);
    await (await scene.ship()).stop();
    const first = await scene.ship(); // begins behind the end of an index
    await using other = new Scene();
    other.bucket = scene.bucket;
    copyFileSync(scene.database, other.database);
    const copy = new Database(other.database);
    copy.pragma('journal_mode = WAL');
    if (changed) copy.exec("INSERT INTO t (b) VALUES ('of the copy')");
    const second = await other.ship();
    db.exec("INSERT INTO t (b) VALUES ('too late')");
    await assert.rejects(first.sync(), (error) => error instanceof SeawallError && error.code === 'FENCED');
    copy.exec("INSERT INTO t (b) VALUES ('the owner')");
    await second.sync();
    await identical(other);
    assert.deepEqual(other.reasons(), [], 'the copy goes on in the same generation');
    await first.stop();
    await second.stop();
    copy.close();
    db.close();
  });
}

test('of two shippers that continue one replica, the later one owns it and the earlier one stops', async () => {
  await using scene = new Scene();
  const db = ready(scene, 600);
  const first = await scene.ship();
  await first.sync();
  await using other = new Scene();
  other.bucket = scene.bucket;
  copyFileSync(scene.database, other.database);
  const copy = new Database(other.database);
  copy.pragma('journal_mode = WAL');
  const second = await other.ship();
  copy.exec("INSERT INTO t (b) VALUES ('the owner')");
  await second.sync();
  db.exec("INSERT INTO t (b) VALUES ('too late')");
  await assert.rejects(first.sync(), /took the replica over|fenced/);
  await second.sync();
  assertSameBytes(readFileSync((await other.restore()).path), other.image());
  await first.stop();
  await second.stop();
  copy.close();
  db.close();
});
