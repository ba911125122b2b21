/** How a WAL index ends beside an app that goes on committing: what is done under its write lock, and what is not. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { codec as codecNamed, type Codec } from '../../../replica/format/codec.ts';
import { PageHashes } from '../../../replica/format/page-hashes.ts';
import type { CapturedSegment } from '../../../shipper/helper/capture/capture.ts';
import { Follower } from '../../../shipper/helper/capture/follower.ts';
import { LiveDatabase } from '../../../shipper/helper/database/live-database.ts';
import { Staging } from '../../../shipper/helper/capture/staging.ts';
import { Scratch } from '../../history/scratch.ts';
import { TestClock } from '../test-clock.ts';
import { SYSTEM_CLOCK, type Clock } from '../../../shipper/clock.ts';

const KiB = 1024;
const LIMITS = {
  checkpointAt: 256 * KiB,
  sealAt: 64 * KiB,
  sealInterval: 3_600_000,
  shrinkAt: 2 ** 30,
  segmentSize: 32 * KiB,
  stagingLimit: 0,
  syncInterval: 3_600_000,
};

/** A database of an app, and one who follows it from its first commit on. */
class Followed implements Disposable {
  readonly app: Database.Database;
  readonly live: LiveDatabase;
  readonly follower: Follower;
  readonly staging: Staging;
  /** Called whenever something is packed. */
  onPack: () => void = () => undefined;
  readonly #scratch = new Scratch();
  readonly #path: string;

  /** `beginning` is called when the moment of the snapshot is over and the pin has not moved. */
  constructor(beginning?: (scene: Followed) => void, clock: Clock = SYSTEM_CLOCK) {
    this.#path = join(this.#scratch.path, 'app.db');
    this.app = new Database(this.#path, { timeout: 0 });
    this.app.pragma('journal_mode = WAL');
    this.app.pragma('wal_autocheckpoint = 0');
    this.app.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)');
    this.live = LiveDatabase.open(this.#path, SYSTEM_CLOCK);
    // The app is in this process, so no lock of another one tells that it has the database open.
    this.live.isLeft = () => false;
    this.staging = new Staging(join(this.#scratch.path, 'staging'), { memory: 2 ** 30, disk: 2 ** 30 });
    if (beginning !== undefined) {
      this.app.pragma('wal_checkpoint(PASSIVE)');
      assert.equal(
        this.live.sealIdle(() => undefined),
        true,
        'the pin stands on the database file alone',
      );
    }
    const held = this.live.hold(() => beginning?.(this), true);
    assert.equal(held.kind, 'sealed');
    const { salt1, salt2, frames } = held.wal;
    const hashes = hashesOf(readFileSync(this.#path));
    this.live.releaseSnapshot();
    const state = { pages: hashes.pages, checksum: hashes.checksum, time: 0 };
    const point = { generation: '0'.repeat(16), index: 0, offset: 0, wal: undefined, sum: { s1: 0, s2: 0 }, state };
    const lz4 = codecNamed('lz4');
    const codec: Codec = {
      ...lz4,
      encodeBlock: (raw) => {
        this.onPack();
        return lz4.encodeBlock(raw);
      },
    };
    this.follower = new Follower(this.live, this.staging, { ...LIMITS, codec }, clock, {
      point,
      hashes,
      boundary: { salt1, salt2, frames, sealed: true },
    });
  }

  commit(bytes = 3000): void {
    this.app.prepare('INSERT INTO t (body) VALUES (randomblob(?))').run(bytes);
  }

  /** Whether the app could commit this very moment. */
  get free(): boolean {
    try {
      this.app.exec('BEGIN IMMEDIATE');
      this.app.exec('ROLLBACK');
      return true;
    } catch {
      return false;
    }
  }

  /** Captures the rest; then the segments follow on each other, and what they say of the end is what SQLite has. */
  assertWhole(): readonly CapturedSegment[] {
    this.onPack = () => undefined;
    this.follower.captureTheRest();
    const segments: CapturedSegment[] = [];
    for (let next = this.staging.first(); next !== undefined; next = this.staging.first()) {
      segments.push(next);
      this.staging.done(next);
    }
    for (const [i, { index, offset }] of segments.entries()) {
      const before = segments[i - 1];
      const follows = before === undefined ? index === 0 : index === before.index && offset === before.end;
      assert.ok(follows || (index === before!.index + 1 && offset === 0), `${index}/${offset} after ${before?.index}`);
    }
    this.live.close();
    this.app.pragma('wal_checkpoint(TRUNCATE)');
    this.app.close();
    assert.equal(segments.at(-1)!.after.state.checksum, hashesOf(readFileSync(this.#path)).checksum);
    return segments;
  }

  [Symbol.dispose](): void {
    this.#scratch[Symbol.dispose]();
  }
}

function hashesOf(file: Buffer): PageHashes {
  const pages = file.length / 4096;
  const hashes = new PageHashes(4096, pages);
  for (let page = 1; page <= pages; page++) hashes.set(page, file.subarray((page - 1) * 4096, page * 4096));
  hashes.commit(pages);
  return hashes;
}

test('nothing is checked, hashed or packed under the write lock when an index ends', () => {
  using scene = new Followed();
  for (let i = 0; i < 7; i++) scene.commit();
  let packed = 0;
  let locked = 0;
  scene.onPack = () => {
    packed++;
    if (!scene.free) locked++;
    else if (packed < 20) scene.commit();
  };
  // What comes while frames are taken is the tail.
  const readWal = scene.live.files.readWal.bind(scene.live.files);
  scene.live.files.readWal = (offset, length) => {
    const bytes = readWal(offset, length);
    if (packed === 0 && scene.free) scene.commit();
    return bytes;
  };
  scene.follower.look();
  assert.ok(packed > 0, 'the index was to end, by its length');
  assert.equal(locked, 0);
  scene.commit();
  assert.equal(scene.live.walIndex()!.frames < 20, true, 'the WAL began anew');
  const segments = scene.assertWhole();
  assert.equal(segments.at(-1)!.index, 1);
});

test('before the lock is taken, most is copied into the database file, though the app goes on', () => {
  using scene = new Followed();
  for (let i = 0; i < 100; i++) scene.commit();
  // What comes while frames are copied, less each time.
  let commits = 32;
  const checkpointPassive = scene.live.checkpointPassive.bind(scene.live);
  scene.live.checkpointPassive = () => {
    const copied = checkpointPassive();
    if (scene.free) for (let i = 0; i < commits; i++) scene.commit();
    commits >>= 2;
    return copied;
  };
  const left: number[] = [];
  const result = scene.live.seal(({ frames, backfilled }) => {
    left.push(scene.free ? frames - backfilled : -(frames - backfilled));
  });
  assert.equal(result.kind, 'sealed');
  const underLock = -left.pop()!;
  assert.ok(underLock > 0 && underLock <= 64, `${underLock} frames were left for the lock`);
  assert.ok(left.length >= 2 && left.every((frames) => frames > 64), left.join());
  scene.live.close();
  scene.app.close();
});

/**
 * Commits, and lets the app copy all there is just after it was taken, since the pin stands at its end, and commit into a WAL that
 * begins anew: at once, or after we looked for something to copy.
 */
function restartWhileTaken(scene: Followed, when: 'at once' | 'after copying'): { readonly restarted: boolean } {
  for (let i = 0; i < 7; i++) scene.commit();
  const advancePin = scene.live.advancePin.bind(scene.live);
  const checkpointPassive = scene.live.checkpointPassive.bind(scene.live);
  const done = { restarted: false };
  let moves = 0;
  const restart = (): void => {
    if (moves !== 2 || done.restarted) return;
    scene.commit();
    done.restarted = scene.live.walIndex()!.frames < 10;
  };
  scene.live.advancePin = () => {
    if (++moves !== 2) return advancePin(); // the first is the look's own, onto the newest frame
    scene.app.pragma('wal_checkpoint(PASSIVE)');
    const frames = advancePin();
    if (when === 'at once') restart();
    return frames;
  };
  scene.live.checkpointPassive = () => {
    const copied = checkpointPassive();
    restart();
    return copied;
  };
  return done;
}

for (const when of ['at once', 'after copying'] as const) {
  test(`a WAL that began anew after it was taken, ${when}, is captured whole`, () => {
    using scene = new Followed();
    const app = restartWhileTaken(scene, when);
    scene.follower.look();
    assert.equal(app.restarted, true);
    const segments = scene.assertWhole();
    assert.deepEqual(new Set(segments.map(({ index }) => index)), new Set([0, 1]));
  });
}

test('so it is where the end of the index was blocked then', () => {
  using scene = new Followed();
  const app = restartWhileTaken(scene, 'at once');
  scene.live.checkpointPassive = () => 'busy';
  scene.follower.look();
  assert.equal(app.restarted, true);
  assert.equal(scene.follower.blockedBy, 'checkpoint');
  const segments = scene.assertWhole();
  assert.deepEqual(new Set(segments.map(({ index }) => index)), new Set([0, 1]));
});

test('an app that outruns capture goes on freely, and is held back only when it is far ahead', () => {
  using scene = new Followed();
  const packedWhile = (): string[] => {
    const seen = new Set<string>();
    scene.onPack = () => seen.add(scene.free ? 'free' : 'held back');
    scene.follower.look();
    scene.onPack = () => undefined;
    return [...seen];
  };
  const grow = (bytes: number): void => {
    scene.app.exec('BEGIN');
    for (let at = 0; at < bytes; at += 3000) scene.commit();
    scene.app.exec('COMMIT');
  };
  grow(6 * LIMITS.sealAt);
  assert.deepEqual(packedWhile(), [], 'behind: the index does not end, and nothing is captured ahead');
  assert.equal(scene.follower.behind, true);
  grow(120 * LIMITS.sealAt); // more than is captured at a time
  assert.deepEqual(packedWhile(), ['held back']);
  for (let segments = 0; segments < 1000; segments++) scene.follower.capture();
  assert.equal(scene.follower.hasNews(), false);
  scene.commit();
  assert.ok(scene.live.walIndex()!.frames < 100, 'then the index ends, and the WAL begins anew');
  scene.assertWhole();
});

test('while a writer is in the middle of its commit, nobody is told what is committed', () => {
  using scene = new Followed();
  scene.commit();
  const walIndex = scene.live.walIndex.bind(scene.live);
  scene.live.walIndex = () => undefined;
  assert.equal(scene.follower.committed(), undefined);
  scene.live.walIndex = walIndex;
  assert.ok(scene.follower.committed()!.offset > 0);
  scene.assertWhole();
});

test('a commit between the moment of a snapshot and the move of the pin is captured, whatever the app copies then', () => {
  using scene = new Followed(({ app }) => {
    app.exec('CREATE TABLE other (a)'); // whose page nobody writes again
  });
  assert.equal(scene.live.walIndex()!.frames < 5, true, 'the WAL began anew under the snapshot');
  scene.app.pragma('wal_checkpoint(PASSIVE)');
  // Were the pin to move now, it would come to stand on the database file alone, and the app could begin the WAL anew.
  const advancePin = scene.live.advancePin.bind(scene.live);
  scene.live.advancePin = () => {
    const frames = advancePin();
    scene.commit();
    return frames;
  };
  scene.follower.look();
  scene.commit();
  scene.assertWhole();
});

test('a WAL that was restarted before any of its index was captured is noticed', () => {
  using scene = new Followed();
  scene.commit();
  scene.follower.committed();
  const { salt1, ...wal } = scene.live.walIndex()!;
  scene.live.walIndex = () => ({ ...wal, salt1: salt1 + 1 });
  assert.throws(() => {
    scene.follower.look();
  }, /wal-reset/);
});

test('an index that is old enough ends once the app is quiet, by the clock that is handed in', () => {
  const clock = new TestClock();
  using scene = new Followed(undefined, clock);
  const isSealed = (): boolean => {
    const { frames, backfilled } = scene.live.walIndex()!;
    return frames === backfilled;
  };
  scene.commit();
  scene.follower.look();
  clock.pass(LIMITS.sealInterval - 1);
  scene.follower.look();
  assert.equal(isSealed(), false);
  scene.commit();
  clock.pass(1);
  scene.follower.look();
  assert.equal(isSealed(), false, 'the app has committed since the last look');
  scene.follower.look();
  assert.equal(isSealed(), true);
  scene.assertWhole();
});
