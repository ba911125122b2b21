/** Reading a replica while its shipper goes on writing to it, and retention deletes from it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HEAD_KEY } from '../../replica/layout.ts';
import { SeawallError } from '../../replica/errors.ts';
import { planRestore } from '../../replica/plan.ts';
import { memoryStore } from '../../replica/store/memory.ts';
import type { Store } from '../../replica/store/store.ts';
import { LATEST } from '../../replica/target.ts';
import { loadTimeline } from '../../replica/timeline.ts';
import { buildHistory } from '../history/history.ts';

test('a segment and the head that names it, written while the listing runs, are no missing segments', async () => {
  const whole = memoryStore();
  const cut = { notRestorable: 0, joined: 0, midTransaction: 0 };
  await buildHistory(whole, { seed: 41, commits: 8, checkpoints: 0, codec: 'lz4', control: true, cut });
  const keys: string[] = [];
  for await (const { key } of whole.list('generations/')) keys.push(key);
  let isListed = false;
  /** Lists as if just before the last segment; the head appears only after that. */
  const growing: Store = {
    ...whole,
    async *list(prefix, after) {
      if (prefix === 'generations/') isListed = true;
      for await (const info of whole.list(prefix, after)) if (info.key !== keys.at(-1)) yield info;
    },
    get(key, range) {
      if (key !== HEAD_KEY || isListed) return whole.get(key, range);
      return Promise.reject(new SeawallError('missing', 'STORE_NO_OBJECT', key));
    },
  };
  const plan = await planRestore(growing, await loadTimeline(growing), LATEST);
  const all = await planRestore(whole, await loadTimeline(whole), LATEST);
  assert.ok(plan.until.offset < all.until.offset);
});

test('a generation that retention deletes behind the listing is not missed, one that stays listed is', async () => {
  const whole = memoryStore();
  const cut = { notRestorable: 0, joined: 0, midTransaction: 0 };
  for (const seed of [42, 43])
    await buildHistory(whole, { seed, commits: 4, checkpoints: 0, codec: 'lz4', control: false, cut });
  const [oldest, newest] = (await loadTimeline(whole)).generations;
  let listings = 0;
  const thinned = (isStillListed: boolean): Store => ({
    ...whole,
    async *list(prefix, after) {
      if (prefix === 'generations/') listings++;
      for await (const info of whole.list(prefix, after))
        if (isStillListed || listings < 3 || !info.key.includes(oldest!.id)) yield info;
    },
    get(key, range) {
      if (!key.includes(oldest!.id)) return whole.get(key, range);
      return Promise.reject(new SeawallError('missing', 'STORE_NO_OBJECT', key));
    },
  });
  const { generations } = await loadTimeline(thinned(false));
  assert.deepEqual([listings, generations.map(({ id }) => id)], [3, [newest!.id]]);
  await assert.rejects(loadTimeline(thinned(true)), { code: 'STORE_NO_OBJECT' });
});
