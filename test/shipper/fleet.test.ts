/** Many databases in one helper: each is shipped as if it were alone, and none disturbs another. */
import assert from 'node:assert/strict';
import { linkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { SeawallError, Shipper } from '../../shipper/index.ts';
import { alive, PATIENCE, until } from './scene.ts';
import { FleetScene } from './fleet-scene.ts';

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `tenant-${i}`);

function code(expected: string): (error: unknown) => boolean {
  return (error) => error instanceof SeawallError && error.code === expected;
}

test('ten databases, one loud and one broken, are shipped by one process', async () => {
  await using scene = new FleetScene();
  const server = await scene.serve();
  const fleet = scene.fleet({ syncInterval: '200ms' });
  const good = names(9);
  for (const name of good) scene.make(name);
  writeFileSync(scene.path('broken'), 'this is no database, whatever its name says');
  const started = await Promise.allSettled(
    [...good, 'broken'].map((name) => fleet.add({ database: scene.path(name), replica: scene.replica(name) })),
  );
  assert.deepEqual(
    started.map(({ status }) => status),
    [...good.map(() => 'fulfilled'), 'rejected'],
  );
  assert.equal(fleet.shippers.length, 9);
  assert.deepEqual(new Set(fleet.shippers.map(({ pid }) => pid)), new Set([fleet.pid]));
  const { pid } = fleet;

  // The store is slow and the loud one has far more to send than fits in the time the quiet ones wait.
  server.faults.add({ kind: 'slow', latency: 60, match: ({ method }) => method === 'PUT' });
  const loud = scene.open('tenant-0');
  const enough = new AbortController();
  const writer = (async () => {
    while (!enough.signal.aborted) {
      loud.exec('INSERT INTO t VALUES (randomblob(400000))');
      await sleep(25);
    }
  })();
  for (let round = 0; round < 3; round++) {
    await sleep(150);
    for (const name of good.slice(1)) scene.open(name).exec('INSERT INTO t VALUES (randomblob(900))');
    const from = performance.now();
    await Promise.all(good.slice(1).map((name) => fleet.get(scene.path(name))!.sync()));
    const took = performance.now() - from;
    assert.ok(took < PATIENCE, `the quiet ones waited for ${Math.round(took)} ms`);
  }
  enough.abort();
  await writer;
  server.faults.clear();
  await Promise.all(fleet.shippers.map((shipper) => shipper.sync()));
  for (const name of good) await scene.assertShipped(name);
  assert.deepEqual(
    (await fleet.status()).map(({ state }) => state),
    good.map(() => 'streaming'),
  );
  await fleet.stop();
  assert.ok(!alive(pid!));
});

test('databases come and go while others are shipped; the helper ends with the last and starts with the next', async () => {
  await using scene = new FleetScene();
  const fleet = scene.fleet();
  for (const name of names(3)) scene.make(name);
  const add = (name: string): Promise<Shipper> =>
    fleet.add({ database: scene.path(name), replica: scene.replica(name) });
  const first = await add('tenant-0');
  const { pid } = fleet;
  const second = await add('tenant-1');
  scene.open('tenant-1').exec('INSERT INTO t VALUES (1)');
  await fleet.remove(scene.path('tenant-1'));
  await scene.assertShipped('tenant-1');
  await assert.rejects(second.sync(), code('NOT_STARTED'));
  await assert.rejects(fleet.remove(scene.path('tenant-1')), code('NOT_IN_FLEET'));
  assert.equal(fleet.pid, pid);
  scene.open('tenant-0').exec('INSERT INTO t VALUES (1)');
  await first.sync();
  await add('tenant-1');
  await add('tenant-2');
  assert.deepEqual(
    fleet.shippers.map(({ database }) => database),
    ['tenant-0', 'tenant-1', 'tenant-2'].map((name) => scene.path(name)),
  );
  for (const name of names(3)) await fleet.remove(scene.path(name));
  assert.ok(!alive(pid!), 'no helper is kept for nothing');
  await add('tenant-2');
  scene.open('tenant-2').exec('INSERT INTO t VALUES (1)');
  await fleet.stop();
  await scene.assertShipped('tenant-2');
  await assert.rejects(add('tenant-0'), code('STOPPED'));
});

test('one file twice, by whatever path, and one replica for two databases are refused by name', async () => {
  await using scene = new FleetScene();
  const fleet = scene.fleet();
  scene.make('a');
  scene.make('b');
  await fleet.add({ database: scene.path('a'), replica: scene.replica('a') });
  const refuse = async (database: string, replica: string, expected: string): Promise<string> => {
    const failure = await fleet.add({ database, replica }).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.ok(failure instanceof SeawallError && failure.code === expected, String(failure));
    return failure.message;
  };
  symlinkSync(scene.path('a'), scene.path('link'));
  symlinkSync(join(scene.folder, 'data'), join(scene.folder, 'other-way'));
  linkSync(scene.path('a'), scene.path('hard'));
  await refuse(scene.path('a'), scene.replica('x'), 'SAME_DATABASE');
  await refuse(scene.path('link'), scene.replica('x'), 'SAME_DATABASE');
  await refuse(join(scene.folder, 'other-way', 'a.db'), scene.replica('x'), 'SAME_DATABASE');
  assert.match(await refuse(scene.path('hard'), scene.replica('x'), 'SAME_DATABASE'), /hard\.db.*a\.db: they are one/);
  assert.match(await refuse(scene.path('b'), `file://${scene.replica('a')}/`, 'SAME_REPLICA'), /b\.db.*a\.db/);
  await refuse(scene.path('b'), join(scene.replica('a'), 'inside'), 'SAME_REPLICA');
  await assert.rejects(async () => fleet.add({ database: scene.path('b'), replica: 'x', colour: 'red' } as never), {
    name: 'TypeError',
    message: /unknown option colour/,
  });
  assert.equal(fleet.shippers.length, 1);
  await fleet.add({ database: scene.path('b'), replica: scene.replica('b') });
  await fleet.stop();
});

test('a database that is fenced, and one whose file is gone, leave the others as they are', async () => {
  await using scene = new FleetScene();
  const fleet = scene.fleet({ checkpointAt: '64KiB', sealAt: '64KiB', stopTimeout: '1s' });
  for (const name of names(3)) {
    scene.make(name);
    await fleet.add({ database: scene.path(name), replica: scene.replica(name) });
  }
  const [fenced, gone, well] = names(3).map((name) => fleet.get(scene.path(name))!);
  scene.make('winner');
  const winner = new Shipper({ database: scene.path('winner'), replica: scene.replica('tenant-0') });
  await winner.start();
  const db = scene.open('tenant-0');
  const isOver = (): boolean =>
    scene.events.some(
      ({ event, database }) => database === fenced!.database && event.type === 'state' && event.state === 'fenced',
    );
  await until(() => {
    db.exec('INSERT INTO t VALUES (randomblob(9000))');
    return isOver();
  });
  await assert.rejects(fenced!.sync(), code('FENCED'));
  for (const end of ['', '-wal', '-shm']) renameSync(scene.path('tenant-1') + end, `${scene.path('away')}${end}`);
  await until(() =>
    scene.events.some(({ event, database }) => database === gone!.database && event.type === 'problem'),
  );
  for (let i = 0; i < 20; i++) {
    scene.open('tenant-2').exec('INSERT INTO t VALUES (randomblob(3000))');
    await well!.sync();
  }
  await scene.assertShipped('tenant-2');
  assert.equal((await well!.status()).state, 'streaming');
  assert.equal((await fenced!.status()).state, 'fenced');
  await winner.stop();
  await assert.rejects(fleet.stop(), code('STOPPED_WAITING'));
});

test('when the helper is killed, each database is taken up again, and every sync() keeps its promise', async () => {
  await using scene = new FleetScene();
  const fleet = scene.fleet();
  for (const name of names(6)) {
    scene.make(name);
    await fleet.add({ database: scene.path(name), replica: scene.replica(name) });
  }
  const { pid } = fleet;
  for (const name of names(6)) scene.open(name).exec('INSERT INTO t VALUES (randomblob(3000))');
  process.kill(pid!, 'SIGKILL');
  const waiting = fleet.shippers.map((shipper) => shipper.sync());
  scene.make('late');
  const late = fleet.add({ database: scene.path('late'), replica: scene.replica('late') });
  await Promise.all([...waiting, late]);
  assert.notEqual(fleet.pid, pid);
  for (const name of [...names(6), 'late']) await scene.assertShipped(name);
  await fleet.stop();
});

test('a followed folder: what is there is shipped, what comes is added, what goes is removed', async () => {
  await using scene = new FleetScene();
  const fleet = scene.fleet({ stopTimeout: '2s' });
  const refused: string[] = [];
  fleet.on('refused', ({ database, error }) => refused.push(`${database} ${error.code}`));
  scene.make('one');
  scene.make('two');
  writeFileSync(scene.path('notes'), 'no database at all');
  await fleet.follow({
    pattern: join(scene.folder, 'data/*.db'),
    replica: join(scene.folder, 'bucket/{name}'),
    every: '50ms',
  });
  assert.deepEqual(fleet.shippers.map(({ database }) => database).sort(), [scene.path('one'), scene.path('two')]);
  assert.deepEqual(refused, [`${scene.path('notes')} DATABASE_NOT_SQLITE`]);
  scene.make('three').exec('INSERT INTO t VALUES (3)');
  await until(() => fleet.get(scene.path('three'))?.pid !== undefined);
  await until(() =>
    scene.events.some(({ database, event }) => database === scene.path('three') && event.type === 'generation'),
  );
  await fleet.get(scene.path('three'))!.sync();
  await scene.assertShipped('three');
  rmSync(scene.path('notes'));
  scene.make('notes');
  await until(() => fleet.get(scene.path('notes')) !== undefined);
  scene.open('one').close();
  for (const end of ['', '-wal', '-shm']) rmSync(scene.path('one') + end, { force: true });
  await until(() => fleet.get(scene.path('one')) === undefined);
  scene.open('two').exec('INSERT INTO t VALUES (2)');
  await fleet.get(scene.path('two'))!.sync();
  await scene.assertShipped('two');
  assert.equal(refused.length, 1, refused.join());
  await fleet.stop();
  await assert.rejects(() => fleet.follow({ pattern: 'x/*.db', replica: 'b/{name}' }), code('STOPPED'));
});

test('options of a fleet and of a folder are checked before anything is touched', async () => {
  await using scene = new FleetScene();
  assert.throws(() => scene.fleet({ syncInterval: 'soon' }), /syncInterval/);
  assert.throws(() => scene.fleet({ database: 'a.db' } as never), /database is each database's own/);
  const fleet = scene.fleet();
  await assert.rejects(
    fleet.follow({ pattern: 'data/app.db', replica: 'b/{name}' }),
    /pattern must be a path with a wildcard/,
  );
  await assert.rejects(fleet.follow({ pattern: 'data/*.db', replica: 'b' }), /replica must have \{name\} or \{path\}/);
  assert.equal(fleet.pid, undefined);
});
