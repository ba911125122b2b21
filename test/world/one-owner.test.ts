/** After a takeover no `sync()` of the former owner is answered: idle and busy, with equal and other codecs. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { SeawallError } from '../../replica/terms/errors.ts';
import { loadTimeline } from '../../replica/catalogue/timeline.ts';
import { openStore } from '../../replica/store/open.ts';
import { CLAIM_KEY } from '../../replica/terms/layout.ts';
import { readReplicaEnd } from '../../replica/takeover/replica-end.ts';
import { verify } from '../../replica/verification/verify.ts';
import { encodeFrame } from '../../replica/wal/format.ts';
import { assertSameBytes } from '../history/same-bytes.ts';
import { blobTable } from '../shipper/blob-table.ts';
import { leaveSegment } from '../shipper/left-behind.ts';
import { crash, Scene, until } from '../shipper/scene.ts';
import { copyOf, Syncing } from './takeover-scene.ts';

const isFenced = (error: unknown): boolean => error instanceof SeawallError && error.code === 'FENCED';

/** The bucket restores to the database of the owner, and is whole. */
async function isOwners(scene: Scene): Promise<void> {
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
  const store = await openStore(scene.bucket);
  assert.deepEqual((await verify(store)).problems, []);
  const { current, claim } = await loadTimeline(store);
  assert.equal(claim?.generation, current?.id);
  await store.close();
}

for (const [codec, way] of [
  ['lz4', 'goes on in the same generation, without a snapshot'],
  ['zstd', 'begins a generation, for its codec'],
] as const) {
  test(`a takeover of a busy shipper by one with ${codec} ${way}, and nothing of the former one is answered`, async () => {
    await using scene = new Scene();
    const server = await scene.serve();
    const db = blobTable(scene.database, 400, 2000);
    const first = await scene.ship({ syncInterval: '20ms' });
    await using pair = copyOf(scene);
    const { other, copy } = pair;
    const busy = new Syncing(db, first);
    await until(() => busy.answered.length > 5);
    // The pages are hashed, and the former one ships on, before the claim is written.
    const late = server.faults.add({
      kind: 'slow',
      latency: 700,
      delay: 'operation',
      times: 1,
      match: ({ method, key }) => method === 'PUT' && key.endsWith(CLAIM_KEY),
    });
    const second = await other.ship({ codec });
    const atWork = performance.now();
    assert.equal(late.hits, 1);
    copy.exec("INSERT INTO t (b) VALUES ('the owner')");
    await second.sync();
    await busy.over;
    assert.ok(isFenced(busy.refused), String(busy.refused));
    const tooLate = busy.answered.filter(({ called }) => called > atWork);
    assert.deepEqual(tooLate, []);
    assert.deepEqual(other.reasons(), codec === 'lz4' ? [] : ['codec-changed']);
    await isOwners(other);
    await first.stop();
    await second.stop();
    db.close();
  });

  test(`a takeover of an idle shipper by one with ${codec}: its next sync() is refused, with and without a commit`, async () => {
    for (const commits of [false, true]) {
      await using scene = new Scene();
      await scene.serve();
      const db = blobTable(scene.database, 50, 2000);
      const first = await scene.ship();
      db.exec('INSERT INTO t (b) VALUES (1)');
      await first.sync();
      await using pair = copyOf(scene);
      const { other, copy } = pair;
      const second = await other.ship({ codec });
      if (commits) db.exec('INSERT INTO t (b) VALUES (2)');
      await assert.rejects(first.sync(), isFenced);
      copy.exec("INSERT INTO t (b) VALUES ('the owner')");
      await second.sync();
      await isOwners(other);
      await first.stop();
      await second.stop();
      db.close();
    }
  });
}

test('an idle shipper is told of a takeover within a heartbeat, without a sync()', async () => {
  await using scene = new Scene();
  await scene.serve();
  const db = blobTable(scene.database, 50, 2000);
  const first = await scene.ship({ heartbeat: '1s' });
  await using pair = copyOf(scene);
  const { other } = pair;
  const second = await other.ship();
  await until(() => scene.events.some((event) => event.type === 'state' && event.state === 'fenced'));
  await first.stop();
  await second.stop();
  db.close();
});

test('a takeover during the first snapshot: the former one ends fenced, and nothing of it is answered', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = blobTable(scene.database, 50, 2000);
  await using pair = copyOf(scene);
  const { other, copy } = pair;
  const held = server.faults.add({
    kind: 'slow',
    latency: 3000,
    delay: 'operation',
    times: 1,
    match: ({ method, key }) => method !== 'GET' && key.endsWith('.snapshot.lz4'),
  });
  const starting = scene.ship().catch((error: unknown) => error);
  await until(() => held.hits > 0);
  const second = await other.ship();
  copy.exec("INSERT INTO t (b) VALUES ('the owner')");
  await second.sync();
  assert.ok(isFenced(await starting), String(await starting));
  await second.sync();
  await isOwners(other);
  await second.stop();
  db.close();
});

test('of two that start at once on an empty replica one is the owner, and the other one answers nothing', async () => {
  for (let round = 0; round < 4; round++) {
    await using scene = new Scene();
    await scene.serve();
    const db = blobTable(scene.database, 50, 2000);
    await using pair = copyOf(scene);
    const { other, copy } = pair;
    const answered = async (each: Scene, own: typeof db): Promise<boolean> => {
      try {
        const shipper = await each.ship();
        own.exec('INSERT INTO t (b) VALUES (1)');
        await shipper.sync();
        return true;
      } catch (error) {
        assert.ok(isFenced(error), String(error));
        return false;
      }
    };
    const outcomes = await Promise.all([answered(scene, db), answered(other, copy)]);
    const store = await openStore(scene.bucket);
    const { current, claim } = await loadTimeline(store);
    assert.equal(current?.id, claim?.generation);
    assert.ok(outcomes.includes(true));
    const owner = [scene, other].find((each) =>
      each.events.some((event) => event.type === 'generation' && event.generation === claim?.generation),
    );
    await isOwners(owner!);
    await store.close();
    db.close();
  }
});

test('a PUT of a killed shipper that arrives after a restart with another codec finds its key taken', async () => {
  await using scene = new Scene();
  await scene.serve();
  const db = blobTable(scene.database, 50, 2000);
  const first = await scene.ship();
  db.exec('INSERT INTO t (b) VALUES (1)');
  await first.sync();
  await crash(first);
  const store = await openStore(scene.bucket);
  const end = await readReplicaEnd(store, (await loadTimeline(store)).current!);
  const second = await scene.ship({ codec: 'zstd' });
  assert.deepEqual(scene.reasons(), ['new-replica', 'codec-changed']);
  const page = Buffer.alloc(end.hashes.pageSize, 7);
  const raw = encodeFrame(end.wal!, end.sum, 3, end.state.pages, page).frame;
  end.hashes.set(3, page);
  const mark = { ...end.state, checksum: end.hashes.checksum, offset: end.offset + raw.length, restorable: true };
  await assert.rejects(leaveSegment(store, end, raw, { marks: [mark], endsOnCommit: true }), { kind: 'conflict' });
  const next = { ...end, index: end.index + 1, offset: 0 };
  await assert.rejects(leaveSegment(store, next, raw, { marks: [], endsOnCommit: false }), { kind: 'conflict' });
  db.exec('INSERT INTO t (b) VALUES (3)');
  await second.sync();
  await isOwners(scene);
  await store.close();
  await second.stop();
  db.close();
});
