/** Damage in Litestream's own buckets: what its restore does with it, and what our verification reports. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { loadLtxHistory } from '../../replica/ltx/history.ts';
import { segmentKey } from '../../replica/terms/layout.ts';
import { loadTimeline } from '../../replica/catalogue/timeline.ts';
import { verify } from '../../replica/verification/verify.ts';
import { timestamp } from './recorded.ts';
import { withLitestream } from './with-litestream.ts';

withLitestream(
  ['0.3', '0.5'],
  'a missing and a damaged object are named by us, where it restores something else',
  async ({ litestream, scene, recorded, place, store }) => {
    recorded.write(1, 'before the sidecar');
    {
      await using sidecar = litestream.replicate(place, scene.database, {
        replica: ['sync-interval: 50ms'],
        // No merging meanwhile: it would bridge the gap.
        ...(litestream.version === '0.5' && { top: ['levels:', '  - interval: 8760h'] }),
      });
      await recorded.shipped(store);
      for (let burst = 0; burst < 6; burst++) {
        recorded.insert();
        await recorded.shipped(store);
        await recorded.mark(`burst ${burst}`, place);
      }
      await sidecar.stop();
    }
    recorded.close();
    const live = await recorded.restoredBy(litestream, place);
    assert.ok(live.ok, live.said);
    let keys: string[];
    if (litestream.version === '0.3') {
      const { current } = await loadTimeline(store);
      keys = current!.segments.map(({ index, offset, codec }) => segmentKey(current!.id, index, offset, codec));
    } else keys = (await loadLtxHistory(store))!.files.filter(({ level }) => level === 0).map(({ key }) => key);
    assert.ok(keys.length >= 4, `${keys.length} objects`);
    const key = keys.at(-3)!;
    const { body } = await store.get(key);

    await store.delete([key]);
    const missing = await verify(store);
    assert.ok(
      missing.problems.some(({ code }) => code === 'WAL_GAP' || code === 'LTX_GAP'),
      JSON.stringify(missing),
    );
    // 0.3 joins what is there; 0.5, asked for a time, takes what comes before the gap. Neither reports it.
    const flags = litestream.version === '0.3' ? [] : timestamp(recorded.marks.at(-1)!);
    const found = await recorded.restoredBy(litestream, place, ...flags);
    assert.ok(found.ok, found.said);
    assert.notEqual(found.hash, live.hash);

    const damaged = Buffer.from(body);
    damaged[body.length >> 1]! ^= 0x10;
    await store.put(key, damaged);
    const flipped = await verify(store);
    assert.ok(
      flipped.problems.some((problem) => problem.key === key),
      JSON.stringify(flipped.problems),
    );
    await store.put(key, body);
    assert.deepEqual((await verify(store)).problems, []);
    rmSync(join(scene.folder, '.app.db-litestream'), { recursive: true, force: true });
  },
);
