/** The state that a held snapshot stands for is read as it was, whatever the app commits and copies meanwhile. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { HeldImage } from '../../../shipper/helper/snapshot/held-image.ts';
import { holdOfAll, underHeldSnapshot } from '../../../shipper/helper/snapshot/held-snapshot.ts';
import { LiveDatabase } from '../../../shipper/helper/database/live-database.ts';
import { FairSemaphore } from '../../../shipper/helper/sharing/fair-semaphore.ts';
import { assertSameBytes } from '../../history/same-bytes.ts';
import { Scratch } from '../../history/scratch.ts';
import { blobTable } from '../blob-table.ts';
import { imageOf } from '../scene.ts';
import { SYSTEM_CLOCK } from '../../../shipper/clock.ts';

const wholeReads = new FairSemaphore(1);
const NEVER = new AbortController().signal;

/** A database of an app, and one who holds snapshots of it. */
class Holding implements Disposable {
  readonly app: Database.Database;
  readonly live: LiveDatabase;
  readonly #scratch = new Scratch();
  readonly #path = join(this.#scratch.path, 'app.db');

  constructor() {
    this.app = blobTable(this.#path, 200);
    this.app.pragma('wal_autocheckpoint = 0');
    this.live = LiveDatabase.open(this.#path, SYSTEM_CLOCK);
  }

  /** Every page of it as SQLite has it now. */
  now(): Buffer {
    return imageOf(this.#path, join(this.#scratch.path, 'now.db'));
  }

  reader(): Database.Database {
    const reader = new Database(this.#path);
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM t').get();
    return reader;
  }

  /** Rewrites rows and adds some. */
  commit(): void {
    this.app.exec('UPDATE t SET b = randomblob(1500) WHERE id % 3 = 0; INSERT INTO t (b) VALUES (randomblob(9000))');
  }

  checkpoint(): void {
    this.app.pragma('wal_checkpoint(PASSIVE)');
  }

  async read(image: HeldImage): Promise<Buffer> {
    const blocks: Buffer[] = [];
    for await (const block of image.blocks(NEVER)) blocks.push(Buffer.from(block));
    return Buffer.concat(blocks);
  }

  [Symbol.dispose](): void {
    this.app.close();
    this.live.close();
    this.#scratch[Symbol.dispose]();
  }
}

test('a snapshot at a frame is that state, while its frames are copied and others come', async () => {
  using scene = new Holding();
  scene.checkpoint();
  const reader = scene.reader();
  scene.commit();
  scene.commit();
  const then = scene.now();
  const held = scene.live.holdAtFrame(false);
  assert.ok(held !== undefined && held.wal.backfilled < held.wal.frames, 'the reader keeps frames from being copied');
  const image = await HeldImage.of(scene.live, held, NEVER);
  assertSameBytes(await scene.read(image), then);
  reader.close();
  scene.commit();
  scene.checkpoint();
  assert.ok(scene.live.walIndex()!.backfilled > held.wal.backfilled, 'frames were copied under the snapshot');
  assertSameBytes(await scene.read(image), then);
  scene.app.exec('DELETE FROM t WHERE id > 20; VACUUM');
  scene.checkpoint();
  assertSameBytes(await scene.read(image), then);
});

test('so it is when all was copied just as it began, and the WAL begins anew under it', async () => {
  using scene = new Holding();
  scene.commit();
  scene.live.advancePin(); // nothing keeps a checkpoint from copying all
  const then = scene.now();
  const walIndex = scene.live.walIndex.bind(scene.live);
  scene.live.walIndex = () => {
    scene.live.walIndex = walIndex;
    const before = walIndex();
    scene.checkpoint();
    return before;
  };
  const held = scene.live.holdAtFrame(false);
  assert.ok(held?.kind === 'at-frame');
  while (scene.live.walIndex()!.frames <= held.wal.frames) scene.commit();
  assert.ok(scene.live.walIndex()!.salt1 !== held.wal.salt1, 'the WAL began anew');
  const image = await HeldImage.of(scene.live, held, NEVER);
  assertSameBytes(await scene.read(image), then);
});

test('beside a writer that commits at every moment it begins under the write lock', () => {
  using scene = new Holding();
  const walIndex = scene.live.walIndex.bind(scene.live);
  scene.live.walIndex = () => {
    const found = walIndex();
    try {
      scene.app.pragma('busy_timeout = 0');
      scene.commit();
    } catch {
      // The lock is taken.
    }
    return found;
  };
  assert.equal(scene.live.holdAtFrame(false), undefined);
  assert.equal(scene.live.snapshotHeld, false);
  const held = scene.live.holdAtFrame(true);
  scene.live.walIndex = walIndex;
  assert.equal(held?.wal.frames, walIndex()!.frames);
  scene.commit();
});

test('whatever fails under a snapshot that was given up, that is what is told', async () => {
  using scene = new Holding();
  const settings = {
    clock: SYSTEM_CLOCK,
    signal: NEVER,
    wholeReads,
    limits: { most: 0, patience: 0 },
    onBlocked: () => undefined,
  };
  const work = wholeReads.run(NEVER, () =>
    underHeldSnapshot(scene.live, holdOfAll(scene.live, SYSTEM_CLOCK), settings, async (_, signal) => {
      scene.commit();
      await once(signal, 'abort');
      throw new Error('the WAL is not what it was');
    }),
  );
  await assert.rejects(work, { code: 'SNAPSHOT_GIVEN_UP' });
});

test('what keeps a snapshot from beginning is told, and that nothing does once it has begun', async () => {
  using scene = new Holding();
  const reader = scene.reader();
  scene.commit();
  let blocked: string | undefined;
  const seen = new Set<string | undefined>();
  const onBlocked = (by: string | undefined): void => void seen.add((blocked = by));
  const settings = {
    clock: SYSTEM_CLOCK,
    signal: NEVER,
    wholeReads,
    limits: { most: 1 << 30, patience: 1 << 30 },
    onBlocked,
  };
  const work = (): Promise<string | undefined> => Promise.resolve(blocked);
  const during = await wholeReads.run(NEVER, () =>
    underHeldSnapshot(scene.live, holdOfAll(scene.live, SYSTEM_CLOCK), settings, work),
  );
  assert.deepEqual([...seen], ['reader', undefined]);
  assert.equal(during, undefined);
  reader.close();
});
