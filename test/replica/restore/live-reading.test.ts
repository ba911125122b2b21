/** Reading a replica while its shipper goes on writing to it, and retention deletes from it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readClaim, writeClaim } from '../../../replica/catalogue/claim.ts';
import { HEAD_KEY } from '../../../replica/terms/layout.ts';
import { SeawallError } from '../../../replica/terms/errors.ts';
import { planRestore } from '../../../replica/plan/plan.ts';
import { retain } from '../../../replica/retention/retain.ts';
import { memoryStore } from '../../../replica/store/memory.ts';
import type { Store } from '../../../replica/store/store.ts';
import { LATEST } from '../../../replica/terms/target.ts';
import { loadTimeline } from '../../../replica/catalogue/timeline.ts';
import { verify } from '../../../replica/verification/verify.ts';
import { buildHistory } from '../../history/history.ts';

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

/**
 * A replica of two generations. The older one is gone after it was read `reads` times, and stays listed for the first
 * `listings` listings.
 */
async function vanishing(reads: number, listings: number): Promise<{ store: Store; newest: string }> {
  const whole = memoryStore();
  const cut = { notRestorable: 0, joined: 0, midTransaction: 0 };
  for (const seed of [42, 43])
    await buildHistory(whole, { seed, commits: 4, checkpoints: 0, codec: 'lz4', control: false, cut });
  const [oldest, newest] = (await loadTimeline(whole)).generations;
  let listed = 0;
  let read = 0;
  const store: Store = {
    ...whole,
    async *list(prefix, after) {
      const isGone = prefix === 'generations/' && ++listed > listings;
      for await (const info of whole.list(prefix, after)) if (!isGone || !info.key.includes(oldest!.id)) yield info;
    },
    get(key, range) {
      if (!key.includes(oldest!.id) || ++read <= reads) return whole.get(key, range);
      return Promise.reject(new SeawallError('missing', 'STORE_NO_OBJECT', key, { key }));
    },
  };
  return { store, newest: newest!.id };
}

test('a generation that retention deletes behind the listing is not missed, one that stays listed is', async () => {
  const { store, newest } = await vanishing(0, 2);
  const { generations } = await loadTimeline(store);
  assert.deepEqual(
    generations.map(({ id }) => id),
    [newest],
  );
  await assert.rejects(loadTimeline((await vanishing(0, Infinity)).store), { code: 'STORE_NO_OBJECT' });
});

test('a sweep goes on where another one deletes what it has listed', async () => {
  const policy = { window: 3_600_000, daily: 0, weekly: 0, monthly: 0, grace: 0 };
  const { store } = await vanishing(1, 1);
  assert.equal((await retain(store, { policy, now: Date.now(), dryRun: true })).delete.length, 0);
  await assert.rejects(retain((await vanishing(1, Infinity)).store, { policy, now: Date.now() }), {
    code: 'STORE_NO_OBJECT',
  });
});

test('what retention deletes while a replica is verified is no damage, what stays listed is', async () => {
  const { store, newest } = await vanishing(2, 2);
  const { problems, generations } = await verify(store);
  assert.deepEqual(problems, []);
  assert.deepEqual(
    generations.map(({ id }) => id),
    [newest],
  );
  await assert.rejects(verify((await vanishing(2, Infinity)).store), { code: 'STORE_NO_OBJECT' });
});

test('a claim that is replaced while it is read is read again', async () => {
  const whole = memoryStore();
  const claim = { generation: '0123456789abcdef', epoch: 1, owner: 'o', holder: 'h', since: 1 };
  await writeClaim(whole, claim, 'absent');
  const replaced = (times: number): Store => ({
    ...whole,
    get: (key, range) =>
      times-- > 0
        ? Promise.reject(new SeawallError('conflict', 'STORE_OBJECT_CHANGED', key, { key }))
        : whole.get(key, range),
  });
  assert.deepEqual((await readClaim(replaced(3)))?.claim, claim);
  await assert.rejects(readClaim(replaced(Infinity)), { code: 'STORE_OBJECT_CHANGED' });
});
