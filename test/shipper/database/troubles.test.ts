/** Troubles of the store, each told by its name, and made up for when it is over. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { SeawallError } from '../../../replica/terms/errors.ts';
import { openStore } from '../../../replica/store/open.ts';
import { commits, lost, madeUpFor, problems, ready, SMALL } from '../upload/outage-scene.ts';
import { Scene, until, type Server } from '../scene.ts';

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
    await until(() => problems(scene).includes(code));
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
  await until(() => problems(scene).includes('STORE_NO_BUCKET'));
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
