/** From Litestream to Seawall without a new snapshot, and back. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadTimeline } from '../../replica/catalogue/timeline.ts';
import { verify } from '../../replica/verification/verify.ts';
import { errorOf, seawallJson } from '../cli/seawall.ts';
import { hashOf } from '../history/history.ts';
import { timestamp, type Mark } from './recorded.ts';
import { withLitestream } from './with-litestream.ts';

withLitestream(
  ['0.3'],
  'its replica is taken over in its generation, restored by both, and taken back',
  async ({ litestream, scene, recorded, place, store }) => {
    recorded.write(3, 'before the sidecar');
    {
      await using sidecar = litestream.replicate(place, scene.database, { replica: ['sync-interval: 50ms'] });
      await recorded.shipped(store);
      recorded.write(5, 'with the sidecar');
      await recorded.shipped(store);
      const running = await seawallJson(['adopt', scene.database, place.url], 1);
      assert.equal(errorOf(running)['code'], 'LITESTREAM_RUNS');
      await sidecar.stop();
    }
    const folder = join(scene.folder, '.app.db-litestream');
    assert.equal(errorOf(await seawallJson(['adopt', scene.database, place.url], 1))['code'], 'LITESTREAM_FOLDER');
    rmSync(folder, { recursive: true });
    const theirs = (await loadTimeline(store)).current!.id;
    recorded.write(2, 'with neither');
    assert.equal((await seawallJson(['adopt', scene.database, place.url], 0))['generation'], theirs);
    assert.equal(errorOf(await seawallJson(['adopt', scene.database, place.url], 1))['code'], 'ALREADY_CLAIMED');

    const shipped = async (name: string): Promise<Mark> => {
      const shipper = await scene.ship();
      recorded.write(2, name);
      await shipper.sync();
      const mark = await recorded.mark(name, place);
      await shipper.stop();
      assert.deepEqual(scene.reasons(), [], 'no new generation, so no snapshot');
      return mark;
    };
    const mark = await shipped('with the shipper');
    const last = await shipped('once more');
    const { generations, current } = await loadTimeline(store);
    assert.deepEqual([generations.length, current!.id, current!.snapshots.length], [1, theirs, 1]);
    const report = await verify(store);
    assert.deepEqual(report.problems, []);
    assert.ok(report.proof.recorded > 0 && report.proof.frames > 0);
    const restored = await scene.restore();
    assert.equal(restored.proof, 'recorded');
    assert.equal(hashOf(readFileSync(restored.path)), last.hash);
    await recorded.expectRestored(litestream, place, last);
    await recorded.expectRestored(litestream, place, mark, ...timestamp(mark));

    // Back: Litestream begins a generation of its own after ours, and that is the one that is followed.
    {
      await using sidecar = litestream.replicate(place, scene.database, { replica: ['sync-interval: 50ms'] });
      while ((await loadTimeline(store)).generations.length === 1) await sleep(50);
      recorded.write(2, 'back again');
      await recorded.shipped(store);
      await sidecar.stop();
    }
    const back = await loadTimeline(store);
    assert.deepEqual([back.generations.length, back.shipped!.id, back.beside?.tookOver], [2, theirs, true]);
    const { warnings, position, path } = await scene.restore();
    assert.match(warnings.join(), /after the last word of the shipper's/);
    const found = await recorded.restoredBy(litestream, place);
    assert.equal(found.hash, hashOf(readFileSync(path)), found.said);

    // And taken over once more, in that generation.
    rmSync(folder, { recursive: true });
    const second = await seawallJson(['adopt', scene.database, place.url], 0);
    assert.equal(second['generation'], position.slice(0, 16));
    const end = await shipped('taken over again');
    assert.equal((await loadTimeline(store)).beside, undefined);
    assert.equal(hashOf(readFileSync((await scene.restore()).path)), end.hash);
    await recorded.expectRestored(litestream, place, end);
  },
);
