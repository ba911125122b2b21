/**
 * Following a database from the moment of a snapshot on, beside processes that commit and checkpoint all the while,
 * again and again: what was captured adds up to what SQLite holds.
 */
import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { codec } from '../../../replica/format/codec.ts';
import { PageHashes } from '../../../replica/format/page-hashes.ts';
import { parseSegmentHeader } from '../../../replica/format/segment.ts';
import type { CapturedSegment } from '../../../shipper/helper/capture/capture.ts';
import { Follower } from '../../../shipper/helper/capture/follower.ts';
import { HeldImage } from '../../../shipper/helper/snapshot/held-image.ts';
import { LiveDatabase, type Held } from '../../../shipper/helper/database/live-database.ts';
import { Staging } from '../../../shipper/helper/capture/staging.ts';
import { WalWatch } from '../../../shipper/helper/capture/wal-watch.ts';
import { Scratch } from '../../history/scratch.ts';
import { Seeded } from '../../history/seeded.ts';
import { blobTable } from '../blob-table.ts';
import { imageOf } from '../scene.ts';
import { SYSTEM_CLOCK } from '../../../shipper/clock.ts';

const KiB = 1024;
const SETTINGS = {
  checkpointAt: 16 * KiB,
  sealAt: 64 * KiB,
  sealInterval: 50,
  shrinkAt: 2 ** 30,
  segmentSize: 32 * KiB,
  stagingLimit: 0,
  syncInterval: 30,
  codec: codec('lz4'),
};
const SEED = 1 + Math.floor(Math.random() * 1e9);
const MILLISECONDS = 6000;

test(`whatever is committed and copied while a database begins to be followed, nothing is missed (seed ${SEED})`, async () => {
  using scratch = new Scratch();
  const random = new Seeded(SEED);
  const path = join(scratch.path, 'app.db');
  blobTable(path, 40, 1500).close();
  const writers = ['better-sqlite3', 'node:sqlite'].map((library, i) =>
    fork(new URL('../writers/pausing.ts', import.meta.url), [path, library, String(SEED + i)]),
  );
  try {
    await Promise.all(writers.map((writer) => once(writer, 'message')));
    const live = LiveDatabase.open(path, SYSTEM_CLOCK);
    const until = performance.now() + MILLISECONDS;
    let beginnings = 0;
    for (; performance.now() < until || beginnings <= 5; beginnings++) {
      await beginning(live, scratch.path, writers, random);
    }
    live.close();
  } finally {
    for (const writer of writers) writer.kill('SIGKILL');
  }
});

async function beginning(
  live: LiveDatabase,
  folder: string,
  writers: readonly ChildProcess[],
  random: Seeded,
): Promise<void> {
  for (const writer of writers) writer.send('go');
  const watch = new WalWatch(live, SETTINGS, SYSTEM_CLOCK);
  for (let looks = random.int(8); looks > 0; looks--) {
    watch.look(undefined);
    await sleep(random.int(10));
  }
  const held = await hold(live, random.chance(0.5));
  const image = await HeldImage.of(live, held, new AbortController().signal);
  await sleep(random.int(10));
  const hashes = hashesOf(image.read(1, image.pages), live.pageSize);
  await sleep(random.int(10));
  live.releaseSnapshot();
  const staging = new Staging(join(folder, 'staging'), { memory: 2 ** 30, disk: 0 });
  const state = { pages: hashes.pages, checksum: hashes.checksum, time: 0 };
  const point = { generation: '0'.repeat(16), index: 1, offset: 0, wal: undefined, sum: { s1: 0, s2: 0 }, state };
  const boundary = { ...held.wal, sealed: held.kind === 'sealed' };
  const follower = new Follower(live, staging, SETTINGS, SYSTEM_CLOCK, { point, hashes, boundary });
  for (let looks = random.int(8); looks > 0; looks--) {
    follower.look();
    if (random.chance(0.3)) follower.capture();
    await sleep(random.int(12));
  }
  const paused = Promise.all(writers.map((writer) => once(writer, 'message')));
  for (const writer of writers) writer.send('pause');
  await paused;
  const goal = follower.committed();
  assert.ok(goal !== undefined);
  while (!follower.captured(goal)) follower.capture();
  const now = imageOf(live.path, join(folder, 'image.db'));
  assert.equal(follower.hashes.checksum, hashesOf(now, live.pageSize).checksum);
  let last: CapturedSegment | undefined;
  for (let segment = staging.first(); segment !== undefined; segment = staging.first()) {
    last = segment;
    staging.done(segment);
  }
  if (last === undefined) return;
  const header = parseSegmentHeader(last.bytes);
  assert.ok(header !== undefined && 'marks' in header);
  assert.equal(header.marks.at(-1)?.restorable, true, 'the latest state is a restore point');
}

/** At the end of an index, or at whatever frame is the newest. */
async function hold(live: LiveDatabase, atFrame: boolean): Promise<Held> {
  for (let tries = 0; ; tries++) {
    const locking = tries % 20 === 0;
    const held = atFrame ? live.holdAtFrame(locking) : live.hold(() => undefined, locking);
    if (held !== undefined && held.kind !== 'blocked') return held;
    await sleep(1);
  }
}

function hashesOf(file: Buffer, pageSize: number): PageHashes {
  const pages = file.length / pageSize;
  const hashes = new PageHashes(pageSize, pages);
  for (let page = 1; page <= pages; page++) hashes.set(page, file.subarray((page - 1) * pageSize, page * pageSize));
  hashes.commit(pages);
  return hashes;
}
