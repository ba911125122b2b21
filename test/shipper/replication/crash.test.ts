import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { Seeded, seeds } from '../../history/seeded.ts';
import { alive, Scene, until } from '../scene.ts';
import { committedIn } from '../writers/ledger.ts';
import { open } from '../writers/library.ts';
import { assertSameBytes } from '../../history/same-bytes.ts';

process.env['AWS_ACCESS_KEY_ID'] ??= 'test';
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'test';

const [SEED = 1] = seeds(1, 1 + Math.floor(Math.random() * 1e6));
const RERUN = `rerun: SEED=${SEED} node --test test/shipper/replication/crash.test.ts`;
const random = new Seeded(SEED);

async function commits(path: string): Promise<number> {
  const db = await open('better-sqlite3', path);
  try {
    return committedIn(db);
  } finally {
    db.close();
  }
}

for (const library of ['better-sqlite3', 'node:sqlite']) {
  test(`an app on ${library} that is killed leaves a helper that ships every commit and ends`, async () => {
    await using scene = new Scene();
    for (let round = 0; round < 4; round++) {
      const app = scene.app(library, { syncInterval: '40ms', checkpointAt: '256KiB', sealAt: '1MiB' });
      await app.acknowledges(40);
      await sleep(random.int(300));
      await app.kill();
      await app.helperEnds();
      const restored = await scene.restore();
      assertSameBytes(readFileSync(restored.path), scene.image(), `all that was committed; ${RERUN}`);
      assert.ok((await commits(restored.path)) >= app.acknowledged, RERUN);
    }
  });
}

test('a helper that is killed has kept what sync() acknowledged, and the replica is a committed state', async () => {
  await using scene = new Scene();
  for (let round = 0; round < 6; round++) {
    const app = scene.app('better-sqlite3', { syncInterval: '20ms', checkpointAt: '128KiB', sealAt: '512KiB' });
    await app.acknowledges(60);
    await sleep(random.int(200));
    process.kill(app.helper, 'SIGKILL');
    const { acknowledged } = app;
    const restored = await scene.restore();
    const found = await commits(restored.path);
    assert.ok(found >= acknowledged, `${found} commits restored, ${acknowledged} acknowledged; ${RERUN}`);
    await sleep(50);
    await app.kill();
  }
});

test('an app and its helper killed together lose nothing that was acknowledged, whatever the app does next', async () => {
  await using scene = new Scene();
  for (let round = 0; round < 6; round++) {
    const app = scene.app('node:sqlite', { syncInterval: '20ms', checkpointAt: '128KiB', sealAt: '512KiB' });
    await app.acknowledges(60);
    await sleep(random.int(200));
    process.kill(app.helper, 'SIGKILL');
    await app.kill();
    const restored = await scene.restore();
    assert.ok((await commits(restored.path)) >= app.acknowledged, RERUN);
  }
});

test('an app that waits for nothing but its shipper lives to see another helper take the place of a killed one', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = await open('better-sqlite3', scene.database);
  db.exec('PRAGMA journal_mode = WAL; CREATE TABLE t (a)');
  db.close();
  // The helper is killed while start() waits for the store: nothing but that promise keeps the app alive.
  const hanging = server.faults.add({ kind: 'hang' });
  const app = scene.writer('lone-app.ts', scene.bucket);
  const said: unknown[] = [];
  app.on('message', (message) => said.push(message));
  await until(() => alive(scene.holder()));
  const exited = once(app, 'exit') as Promise<[number | null]>;
  process.kill(scene.holder(), 'SIGKILL');
  hanging.remove();
  assert.deepEqual([await exited, said], [[0, null], ['started']]);
});
