/** A Litestream 0.3 that nobody stopped runs beside the shipper, on the same database and in the same place. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compact } from '../../replica/compaction/compact.ts';
import { retain } from '../../replica/retention/retain.ts';
import { loadTimeline } from '../../replica/catalogue/timeline.ts';
import { verify } from '../../replica/verification/verify.ts';
import { hashOf } from '../history/history.ts';
import { withLitestream } from './with-litestream.ts';

withLitestream(
  ['0.3'],
  'beside the shipper it changes nothing: every state that was shipped is restored, also long after it is gone',
  async ({ litestream, scene, recorded, place, store }) => {
    recorded.write(2, 'before both');
    const settings = { replica: ['sync-interval: 50ms'] };
    const generations = async (): Promise<string[]> => (await loadTimeline(store)).generations.map(({ id }) => id);
    const marked = async (name: string): Promise<void> => {
      recorded.write(2, name);
      await shipper.sync();
      await recorded.mark(name, place);
    };

    // It was there first, and the shipper began without taking over.
    await using first = litestream.replicate(place, scene.database, settings);
    await recorded.shipped(store);
    const shipper = await scene.ship({ heartbeat: '1s' });
    assert.deepEqual(scene.reasons(), ['foreign-replica']);
    await marked('both');
    await first.stop();
    await marked('the shipper alone');

    // It lost its folder, so it begins one more generation, in the middle of the shipper's.
    rmSync(join(scene.folder, '.app.db-litestream'), { recursive: true });
    const before = await generations();
    {
      await using second = litestream.replicate(place, scene.database, settings);
      while ((await generations()).length === before.length) await sleep(50);
      for (let i = 0; i < 3; i++) await marked(`both again ${i}`);
      await second.stop();
    }
    await marked('the shipper alone again');
    const [theirs, theirsAgain, ours] = await generations();
    const { shipped, current, beside } = await loadTimeline(store);
    assert.deepEqual([shipped!.id, current!.id, beside], [ours, ours, undefined]);
    assert.deepEqual(before, [theirs, ours]);
    assert.ok(theirsAgain !== undefined);

    const everywhere = async (): Promise<void> => {
      for (const { name, hash, time } of recorded.marks) {
        const { path, proof } = await scene.restore({ target: { kind: 'time', time } });
        assert.equal(hashOf(readFileSync(path)), hash, name);
        assert.equal(proof, 'recorded');
        rmSync(path);
      }
      assert.deepEqual((await verify(store)).problems, []);
    };
    await everywhere();
    await shipper.stop();
    assert.deepEqual(scene.reasons(), ['foreign-replica'], 'no new generation');
    await compact(store, { policy: 'always', now: Date.now() });
    const policy = { window: Date.now() - recorded.marks[0]!.time, daily: 0, weekly: 0, monthly: 0, grace: 0 };
    await retain(store, { policy, now: Date.now() });
    await everywhere();
    const { path } = await scene.restore();
    assert.equal(hashOf(readFileSync(path)), recorded.marks.at(-1)!.hash);
  },
);
