import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { readClaim, writeClaim } from '../../../replica/catalogue/claim.ts';
import { SeawallError } from '../../../replica/terms/errors.ts';
import { openStore } from '../../../replica/store/open.ts';
import { CLAIM_KEY } from '../../../replica/terms/layout.ts';
import { loadTimeline } from '../../../replica/catalogue/timeline.ts';
import { Scene, until } from '../scene.ts';
import { assertSameBytes } from '../../history/same-bytes.ts';

process.env['AWS_ACCESS_KEY_ID'] ??= 'test';
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'test';

function ready(scene: Scene): Database.Database {
  const db = new Database(scene.database);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE t (b)');
  return db;
}

test('an outage of the store stops no write, is told, and is made up for afterwards', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = ready(scene);
  const shipper = await scene.ship({ retryMax: '300ms', checkpointAt: '64KiB', sealAt: '256KiB' });
  db.exec('INSERT INTO t VALUES (1)');
  await shipper.sync();
  server.pause();
  for (let i = 0; i < 300; i++) {
    db.exec('INSERT INTO t VALUES (randomblob(4000))');
    if (i % 20 === 0) await sleep(20);
  }
  const pending = shipper.sync();
  await until(() => scene.events.some((event) => event.type === 'problem'));
  const during = await shipper.status();
  assert.equal(during.state, 'retrying');
  assert.equal(during.problem?.kind, 'unreachable');
  assert.ok(during.behind);
  server.resume();
  await pending;
  assert.equal((await shipper.status()).state, 'streaming');
  assert.deepEqual(scene.reasons(), ['new-replica'], 'the outage was bridged by staging');
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
  assert.deepEqual(
    server.overwrites().filter(({ key }) => !key.endsWith('/head')),
    [],
  );
  await shipper.stop();
  db.close();
});

test('staging that overflows is given up with a named reason, and the difference is shipped when the store is back', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = ready(scene);
  for (let i = 0; i < 1500; i++) db.exec('INSERT INTO t VALUES (randomblob(4000))');
  const shipper = await scene.ship({
    retryMax: '200ms',
    checkpointAt: '64KiB',
    sealAt: '64KiB',
    segmentSize: '64KiB',
    stagingLimit: '256KiB',
  });
  server.pause();
  for (let i = 0; i < 700; i++) {
    db.exec('INSERT INTO t VALUES (randomblob(4000))');
    if (i % 10 === 0) await sleep(10);
  }
  await until(() => scene.events.some((event) => event.type === 'lost' && event.cause === 'staging-full'));
  assert.ok((await shipper.status()).staged < 4 << 20);
  server.resume();
  await shipper.sync();
  assert.deepEqual(scene.reasons(), ['new-replica'], 'no snapshot was needed');
  const causes = scene.events.filter((event) => event.type === 'resumed').map(({ cause }) => cause);
  assert.ok(causes.length > 0 && causes.every((cause) => cause === 'staging-full'), causes.join());
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
  await shipper.stop();
  db.close();
});

test('a shipper that takes over wins also where the former one claims the replica anew at that moment', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = ready(scene);
  const first = await scene.ship();
  await first.stop();
  db.exec('INSERT INTO t VALUES (1)');
  const store = await openStore(scene.bucket);
  const { claim, etag } = (await readClaim(store))!;
  const renewed = { ...claim, epoch: claim.epoch + 1 };
  const renewal = Promise.withResolvers<unknown>();
  const late = server.faults.add({
    kind: 'slow',
    latency: renewal.promise,
    delay: 'operation',
    times: 1,
    match: ({ method, key }) => method === 'PUT' && key.endsWith(CLAIM_KEY),
    strike: () => {
      renewal.resolve(writeClaim(store, renewed, { ifMatch: etag }));
    },
  });
  rmSync(`${scene.database}-seawall`, { recursive: true });
  const second = await scene.ship();
  assert.equal(late.hits, 1);
  await renewal.promise;
  const { claim: taken } = (await readClaim(store))!;
  assert.equal(taken.epoch, renewed.epoch + 1);
  assert.notEqual(taken.owner, claim.owner);
  assert.deepEqual(scene.reasons(), ['new-replica'], 'the generation goes on');
  await second.stop();
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
  await store.close();
  db.close();
});

test('lost acknowledgements, 503s, resets and slow answers change nothing in what is restored', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = ready(scene);
  const shipper = await scene.ship({ retryMax: '100ms', checkpointAt: '64KiB', sealAt: '128KiB' });
  server.faults.seed(7);
  server.faults.add({ kind: 'lost-ack', probability: 0.1, match: ({ method }) => method === 'PUT' });
  server.faults.add({ kind: 'status', status: 503, code: 'SlowDown', probability: 0.1 });
  server.faults.add({ kind: 'reset', probability: 0.05 });
  for (let i = 0; i < 150; i++) {
    db.exec('INSERT INTO t VALUES (randomblob(3000))');
    if (i % 10 === 0) await shipper.sync();
  }
  await shipper.sync();
  server.faults.clear();
  assert.deepEqual(scene.reasons(), ['new-replica']);
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
  assert.deepEqual(
    server.overwrites().filter(({ key }) => !key.endsWith('/head')),
    [],
  );
  await shipper.stop();
  db.close();
});

test('a shipper whose replica another one took over says so, rejects sync() and writes nothing more', async () => {
  await using scene = new Scene();
  await using other = new Scene();
  await scene.serve();
  const db = ready(scene);
  other.bucket = scene.bucket;
  const otherDb = ready(other);
  const first = await scene.ship({ checkpointAt: '64KiB', sealAt: '64KiB' });
  db.exec('INSERT INTO t VALUES (1)');
  await first.sync();
  const second = await other.ship();
  otherDb.exec("INSERT INTO t VALUES ('the winner')");
  for (let i = 0; i < 200; i++) {
    db.exec('INSERT INTO t VALUES (randomblob(4000))');
    if (i % 10 === 0) await sleep(15);
  }
  await until(() => scene.events.some((event) => event.type === 'state' && event.state === 'fenced'));
  await assert.rejects(first.sync(), (error) => error instanceof SeawallError && error.code === 'FENCED');
  assert.equal((await first.status()).state, 'fenced');
  await second.sync();
  assertSameBytes(readFileSync((await other.restore()).path), other.image());
  await first.stop();
  await second.stop();
  db.close();
  otherDb.close();
});

test('credentials that are refused at start are an error of kind denied, and nothing keeps running', async () => {
  await using scene = new Scene();
  await scene.serve({ auth: { test: { allow: () => false } } });
  const db = ready(scene);
  await assert.rejects(
    scene.ship({ retryMax: '100ms' }),
    (error) => error instanceof SeawallError && error.kind === 'denied',
  );
  assert.equal(scene.holder(), 0);
  db.close();
});

test('the claim names the generation that is written, and the head how far it reaches', async () => {
  await using scene = new Scene();
  await scene.serve();
  const db = ready(scene);
  const shipper = await scene.ship();
  db.exec('INSERT INTO t VALUES (1)');
  const { position } = await shipper.sync();
  await shipper.stop();
  const store = await openStore(scene.bucket);
  const { claim, head, current } = await loadTimeline(store);
  assert.equal(claim?.generation, current?.id);
  assert.equal(
    `${head?.position.generation}/${head?.position.index.toString(16).padStart(8, '0')}/${head?.position.offset.toString(16).padStart(8, '0')}`,
    position,
  );
  const { etag } = (await readClaim(store))!;
  await writeClaim(store, { ...claim!, epoch: claim!.epoch + 1 }, { ifMatch: etag });
  await assert.rejects(
    writeClaim(store, claim!, { ifMatch: etag }),
    (error) => error instanceof SeawallError && error.kind === 'conflict',
  );
  db.close();
});

test('a damaged claim stops nobody: a running shipper and one that starts put a new generation in its place', async () => {
  await using scene = new Scene();
  await scene.serve();
  const db = ready(scene);
  const store = await openStore(scene.bucket);
  const shipper = await scene.ship({ checkpointAt: '64KiB', sealAt: '64KiB', retryMax: '200ms' });
  await shipper.sync();
  const spoil = () => store.put(CLAIM_KEY, Buffer.from('damaged'));
  await spoil();
  await until(() => {
    db.exec('INSERT INTO t VALUES (randomblob(4000))');
    return scene.reasons().length > 1;
  });
  await shipper.sync();
  assert.deepEqual(scene.reasons(), ['new-replica', 'claim-damaged']);
  assert.deepEqual(readFileSync((await scene.restore()).path), scene.image());
  await shipper.stop();
  await spoil();
  const again = await scene.ship();
  assert.deepEqual(scene.reasons(), ['new-replica', 'claim-damaged', 'claim-damaged']);
  assert.deepEqual(readFileSync((await scene.restore()).path), scene.image());
  await again.stop();
  db.close();
});
