/** Litestream restores what Seawall wrote: at latest and at times, after everything that Seawall does to a bucket. */
import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { compact } from '../../replica/compaction/compact.ts';
import { readReplicaEnd } from '../../replica/takeover/replica-end.ts';
import { restore } from '../../replica/restore/restore.ts';
import { retain } from '../../replica/retention/retain.ts';
import { openStore } from '../../replica/store/open.ts';
import { loadTimeline } from '../../replica/catalogue/timeline.ts';
import { verify } from '../../replica/verification/verify.ts';
import type { ShipperOptions } from '../../shipper/index.ts';
import { leaveTransaction } from '../shipper/left-behind.ts';
import { placeInFolder, type Place } from './litestream.ts';
import { type RecordedDatabase, timestamp, type Mark } from './recorded.ts';
import { withLitestream } from './with-litestream.ts';

/** Small enough for many indexes. */
const OPTIONS: Partial<ShipperOptions> = { checkpointAt: '64KiB', sealAt: '256KiB', segmentSize: '64KiB' };

/** Ships a few bursts, each in an index of its own, and marks the state after each. */
async function shipBursts(recorded: RecordedDatabase, place: Place, name: string, bursts: number): Promise<Mark[]> {
  const marks: Mark[] = [];
  const shipper = await recorded.scene.ship(OPTIONS);
  await shipper.sync();
  for (let burst = 0; burst < bursts; burst++) {
    recorded.write(6, `${name} ${burst}`);
    await shipper.sync();
    marks.push(await recorded.mark(`${name} ${burst}`, place));
    recorded.db.pragma('wal_checkpoint(PASSIVE)');
  }
  await shipper.stop();
  return marks;
}

withLitestream(
  ['0.3', '0.5'],
  'restores every state of a bucket of ours, at latest and at times',
  async ({ litestream, scene, recorded, place, store }) => {
    recorded.write(3, 'before the shipper');
    const marks = await shipBursts(recorded, place, 'first run', 3);
    await recorded.expectRestored(litestream, place, marks.at(-1)!);

    // Restarted with nothing new, and with changes made meanwhile: both continue the last index.
    marks.push(...(await shipBursts(recorded, place, 'restarted unchanged', 1)));
    for (let i = 0; i < 5; i++) recorded.insert();
    recorded.remember('without a shipper');
    recorded.close();
    marks.push(...(await shipBursts(recorded, place, 'restarted after changes', 2)));

    // A helper died between two segments of a transaction: the next one ends it.
    const { current: unfinished } = await loadTimeline(store);
    await leaveTransaction(store, await readReplicaEnd(store, unfinished!), [1, 2, 1000]);
    marks.push(...(await shipBursts(recorded, place, 'restarted after an unfinished transaction', 2)));
    assert.deepEqual(scene.reasons(), ['new-replica']);
    const everywhere = async (): Promise<void> => {
      await recorded.expectRestored(litestream, place, marks.at(-1)!);
      for (const mark of marks.slice(0, -1)) await recorded.expectRestored(litestream, place, mark, ...timestamp(mark));
    };
    await everywhere();

    // Compaction adds a snapshot whose time is later than that of the state in it.
    const { current } = await loadTimeline(store);
    assert.ok(current!.segments.at(-1)!.index >= 3, 'several indexes');
    const outcome = await compact(store, { policy: 'always', now: Date.now() });
    assert.equal(outcome.kind, 'compacted');
    await everywhere();
    marks.push(...(await shipBursts(recorded, place, 'after compaction', 2)));
    await everywhere();

    // A new generation.
    recorded.db.exec('UPDATE t SET body = randomblob(3000)');
    recorded.remember('most of it changed');
    const former = marks.length;
    marks.push(...(await shipBursts(recorded, place, 'second generation', 3)));
    assert.deepEqual(scene.reasons(), ['new-replica', 'mostly-different']);
    await recorded.expectRestored(litestream, place, marks.at(-1)!);
    for (const [at, mark] of marks.slice(0, -1).entries()) {
      // 0.3 looks for a time only between the first and the last object of a generation.
      if (litestream.version === '0.3' && at === former - 1) continue;
      await recorded.expectRestored(litestream, place, mark, ...timestamp(mark));
    }

    // Retention, down to the newest chain.
    await compact(store, { policy: 'always', now: Date.now() });
    const policy = { window: 0, daily: 0, weekly: 0, monthly: 0, grace: 0 };
    const report = await retain(store, { policy, now: Date.now() + 1000 });
    assert.ok(report.freed.objects > 10, `${report.freed.objects} objects went`);
    assert.deepEqual((await verify(store)).problems, []);
    assert.equal((await loadTimeline(store)).generations.length, 1);
    await recorded.expectRestored(litestream, place, marks.at(-1)!);
    const last = await shipBursts(recorded, place, 'after retention', 2);
    await recorded.expectRestored(litestream, place, last[0]!, ...timestamp(last[0]!));
    await recorded.expectRestored(litestream, place, last[1]!);
  },
);

withLitestream(
  ['0.3', '0.5'],
  'never restores a state that was none, wherever a retention stops',
  async ({ litestream, scene, recorded, place, store }) => {
    recorded.write(3, 'before the shipper');
    const early = await shipBursts(recorded, place, 'early', 3);
    await compact(store, { policy: 'always', now: Date.now() });
    const later = await shipBursts(recorded, place, 'later', 3);
    await compact(store, { policy: 'always', now: Date.now() });
    await shipBursts(recorded, place, 'latest', 2);
    recorded.close();
    const latest = recorded.marks.at(-1)!;
    const policy = { window: 0, daily: 0, weekly: 0, monthly: 0, grace: 0 };
    const doomed = await retain(store, { policy, now: Date.now() + 1000, dryRun: true });
    const keys = doomed.delete.map(({ key }) => key);
    assert.ok(keys.length > 8, `${keys.length} objects to delete`);
    let refused = 0;
    for (let gone = 1; gone <= keys.length; gone += Math.ceil(keys.length / 8)) {
      const half = join(scene.folder, `half-${gone}`);
      cpSync(scene.bucket, half, { recursive: true, preserveTimestamps: true });
      for (const key of keys.slice(0, gone)) rmSync(join(half, key));
      await recorded.expectRestored(litestream, placeInFolder(half), latest);
      for (const mark of [early.at(-1)!, ...later]) {
        const found = await recorded.restoredBy(litestream, placeInFolder(half), ...timestamp(mark));
        if (found.ok)
          assert.ok(found.state !== undefined, `${mark.name} with ${gone} objects gone: a state it never had`);
        else refused++;
      }
      const remains = await openStore(half);
      await restore(remains, join(scene.folder, `ours-${gone}.db`), {});
      await remains.close();
      rmSync(half, { recursive: true });
    }
    assert.ok(refused > 0, 'some times are refused once their WAL is gone');
  },
  'folder',
);
