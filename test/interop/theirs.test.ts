/** We restore, verify, compact and retain what a real Litestream 0.3 wrote. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compact } from '../../replica/compaction/compact.ts';
import { restore } from '../../replica/restore/restore.ts';
import { retain } from '../../replica/retention/retain.ts';
import { LATEST, type Target } from '../../replica/terms/target.ts';
import { loadTimeline } from '../../replica/catalogue/timeline.ts';
import { verify } from '../../replica/verification/verify.ts';
import { hashOf } from '../history/history.ts';
import type { LitestreamSettings } from './litestream.ts';
import { timestamp, type Mark } from './recorded.ts';
import { withLitestream } from './with-litestream.ts';

/** Quick enough to see several indexes within seconds. */
const INDEXES = {
  database: ['monitor-interval: 20ms', 'checkpoint-interval: 300ms', 'min-checkpoint-page-count: 20'],
  replica: ['sync-interval: 20ms'],
} as const satisfies LitestreamSettings;
/** Snapshots and retention, too. */
const RETAINING = {
  ...INDEXES,
  replica: [...INDEXES.replica, 'snapshot-interval: 1500ms', 'retention: 4s', 'retention-check-interval: 1s'],
};

withLitestream(
  ['0.3'],
  'its bucket, written under load, is listed, verified, restored, compacted and retained by us',
  async ({ litestream, scene, recorded, place, store }) => {
    recorded.write(2, 'before the sidecar');

    const marks: Mark[] = [];
    const replicate = async (
      name: string,
      settings: LitestreamSettings,
      done: (said: string) => boolean,
    ): Promise<void> => {
      await using sidecar = litestream.replicate(place, scene.database, settings);
      await recorded.shipped(store);
      for (let burst = 0; burst < 4 || !done(sidecar.said); burst++) {
        assert.ok(burst < 60, sidecar.said);
        for (let i = 0; i < 100; i++) recorded.insert();
        await sleep(600); // as an app with pauses
        await recorded.shipped(store);
        marks.push(await recorded.mark(`${name} ${burst}`, place));
      }
      // Litestream restores no time behind a generation's last object: the last mark gets one behind it.
      recorded.insert();
      await recorded.shipped(store);
      await sidecar.stop();
    };
    await replicate('first generation', RETAINING, (said) => said.includes('snapshot deleted'));
    rmSync(join(scene.folder, '.app.db-litestream'), { recursive: true });
    await replicate('second generation', INDEXES, () => true); // not touched by its retention, however slow the place
    const live = recorded.content(scene.database);
    recorded.close();

    const timeline = await loadTimeline(store);
    // Under load it begins one more now and then, by itself.
    assert.ok(timeline.generations.length >= 2);
    const report = await verify(store, { deep: { integrity: (path) => Promise.resolve(recorded.integrity(path)) } });
    assert.deepEqual(report.problems, []);
    assert.deepEqual(report.proof, { recorded: 0, frames: report.objects });

    let files = 0;
    const ours = async (target: Target): Promise<string> => {
      const path = join(scene.folder, `ours-${++files}.db`);
      assert.equal((await restore(store, path, { target })).proof, 'frames');
      const hash = hashOf(readFileSync(path));
      if (target === LATEST) assert.deepEqual(recorded.content(path), live);
      assert.deepEqual(recorded.integrity(path), []);
      rmSync(path);
      return hash;
    };
    const theirs = (...flags: readonly string[]): Promise<Awaited<ReturnType<typeof recorded.restoredBy>>> =>
      recorded.restoredBy(litestream, place, ...flags);
    const same = async (): Promise<number> => {
      assert.equal((await theirs()).hash, await ours(LATEST), 'latest');
      let compared = 0;
      for (const mark of marks) {
        const found = await theirs(...timestamp(mark));
        if (!found.ok) continue; // past its retention, or behind the end of a generation
        assert.equal(await ours({ kind: 'time', time: mark.time }), found.hash, mark.name);
        compared++;
      }
      return compared;
    };
    assert.ok((await same()) >= 3);

    // Ours beside theirs: a snapshot with our header and trailer in the middle of their objects.
    assert.equal((await compact(store, { policy: 'always', now: Date.now() })).kind, 'compacted');
    assert.ok((await same()) >= 3);
    assert.deepEqual((await verify(store)).problems, []);
    const policy = { window: 0, daily: 0, weekly: 0, monthly: 0, grace: 0 };
    assert.ok((await retain(store, { policy, now: Date.now() + 1000 })).freed.objects > 0);
    assert.equal((await loadTimeline(store)).generations.length, 1);
    await same();
    assert.deepEqual((await verify(store)).problems, []);
  },
);
