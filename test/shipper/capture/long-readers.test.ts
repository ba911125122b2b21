/** Readers of the app that never end: they keep the WAL from ending, and nothing else from beginning. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import type { Shipper } from '../../../shipper/index.ts';
import { commits, lost, madeUpFor, ready, resumedBy, SMALL } from '../upload/outage-scene.ts';
import { PATIENCE, Scene, until } from '../scene.ts';

/** A connection in the middle of a read transaction, on the state that is the newest now. */
function longReader(scene: Scene): Database.Database {
  const reader = new Database(scene.database);
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM t').get();
  return reader;
}

const blockedBy = (scene: Scene): string[] =>
  scene.events.filter((event) => event.type === 'blocked').map(({ by }) => by);

test(
  'a start beside a reader that never ends ships all there is, from whatever frame',
  { timeout: 2 * PATIENCE },
  async () => {
    await using scene = new Scene();
    const db = ready(scene, 300);
    const reader = longReader(scene);
    await commits(db, 100);
    const shipper = await scene.ship();
    assert.deepEqual(blockedBy(scene), ['reader']);
    await madeUpFor(scene, shipper);
    await commits(db, 100);
    await madeUpFor(scene, shipper);

    await shipper.stop();
    await commits(db, 100);
    const again = await scene.ship();
    assert.deepEqual(resumedBy(scene), ['start']);
    await commits(db, 100);
    await madeUpFor(scene, again);

    assert.ok(reader.inTransaction, 'it was there all the while');
    const index = indexOf((await again.status()).position!);
    reader.close();
    // The index ends once the reader is gone.
    await until(async () => {
      await commits(db, 10);
      return indexOf((await again.sync()).position) > index;
    });
    await madeUpFor(scene, again);
    await again.stop();
    db.close();
  },
);

test('after a start beside a long reader, a checkpoint of the app that wants the WAL anew need not wait', async () => {
  await using scene = new Scene();
  const db = ready(scene, 300);
  const reader = longReader(scene);
  await commits(db, 100);
  const shipper = await scene.ship();
  reader.close();
  const [result] = db.pragma('wal_checkpoint(TRUNCATE)') as [{ readonly busy: number }];
  assert.equal(result.busy, 0);
  await commits(db, 100);
  await madeUpFor(scene, shipper);
  await shipper.stop();
  db.close();
});

test('continuity that is lost beside a reader that never ends is regained, and the status says what goes on', async () => {
  await using scene = new Scene();
  const server = await scene.serve();
  const db = ready(scene);
  const shipper = await scene.ship(SMALL);
  const reader = longReader(scene);
  server.pause();
  await until(async () => {
    await commits(db, 50);
    return lost(scene).length > 0;
  });
  assert.deepEqual(lost(scene), ['staging-full']);
  server.resume();
  await using told = new Watched(shipper, ({ lost, blockedBy }) => lost === 'staging-full' && blockedBy === 'reader');
  await madeUpFor(scene, shipper);
  assert.ok(told.seen, 'the status named both');
  assert.equal((await shipper.status()).lost, undefined);
  assert.ok(reader.inTransaction);
  reader.close();
  await commits(db, 50);
  await madeUpFor(scene, shipper);
  await shipper.stop();
  db.close();
});

type Status = Awaited<ReturnType<Shipper['status']>>;

/** Looks at the status again and again until it is as asked, or the scene is over. */
class Watched implements AsyncDisposable {
  seen = false;
  #over = false;
  readonly #watching: Promise<void>;

  constructor(shipper: Shipper, as: (status: Status) => boolean) {
    this.#watching = this.#watch(shipper, as);
  }

  async #watch(shipper: Shipper, as: (status: Status) => boolean): Promise<void> {
    while (!this.#over && !this.seen) {
      this.seen = as(await shipper.status());
      await sleep(20);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    await this.#watching;
  }
}

const indexOf = (position: string): number => Number.parseInt(position.slice(17, 25), 16);
