/** Generations and LTX files under one prefix: one program took over from the other, in either order. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { backupAge } from '../../../replica/restore/backup-age.ts';
import { loadReplica } from '../../../replica/restore/choose.ts';
import { restore } from '../../../replica/restore/restore.ts';
import { LATEST, parseTarget, type Target } from '../../../replica/terms/target.ts';
import { verify } from '../../../replica/verification/verify.ts';
import type { ClockedStore } from '../../history/clocked-store.ts';
import { foreignReplica } from '../../history/foreign.ts';
import { hashOf, positionOf } from '../../history/history.ts';
import { LTX_START, LTX_STEP, ltxReplica } from '../../history/ltx-replica.ts';
import { Scratch } from '../../history/scratch.ts';

async function restored(
  store: ClockedStore,
  target: Target,
): Promise<{ readonly hash: string; readonly warnings: readonly string[] }> {
  using scratch = new Scratch();
  const path = scratch.file();
  const { warnings } = await restore(store, path, { target });
  return { hash: hashOf(readFileSync(path)), warnings };
}

for (const order of ['Litestream was upgraded in place', 'generations came after LTX files'] as const) {
  test(`${order}: the newer state is taken, both are named, and the other one is restored by its name`, async () => {
    const { store, history } = await foreignReplica(8900);
    if (order === 'generations came after LTX files') {
      for (const key of await store.keys()) {
        store.now = ((await store.head(key))?.lastModified ?? 0) + LTX_START;
        await store.put(key, (await store.get(key)).body);
      }
    }
    store.now = LTX_START + 60_000;
    const { states } = await ltxReplica(store, { seed: 8901, transactions: 4 });
    const files = { hash: states.at(-1)!.hash, position: 'txid:0000000000000004' };
    const wal = { hash: history.states.at(-1)!.hash, position: positionOf(history.states.at(-1)!) };
    const upgraded = order === 'Litestream was upgraded in place';
    const [newer, older] = upgraded ? [files, wal] : [wal, files];

    const latest = await restored(store, LATEST);
    assert.equal(latest.hash, newer.hash);
    assert.equal(latest.warnings.length, 1);
    assert.match(latest.warnings[0]!, /holds both generations and LTX files/);
    assert.ok(
      latest.warnings[0]!.includes(files.position) && latest.warnings[0]!.includes(history.states[0]!.generation),
    );
    const later: Target = { kind: 'time', time: 3 * LTX_START };
    assert.equal((await restored(store, later)).hash, newer.hash, 'a time after both');
    assert.equal((await restored(store, parseTarget(older.position))).hash, older.hash);
    assert.equal((await restored(store, parseTarget(newer.position))).hash, newer.hash);
    const early: Target = { kind: 'time', time: LTX_START + 2 * LTX_STEP };
    assert.equal((await restored(store, early)).hash, states[1]!.hash, 'a time of the files');

    const { problems, warnings } = await verify(store);
    assert.deepEqual(problems, []);
    assert.deepEqual(warnings.map(({ code }) => code), ['TWO_REPLICAS']); // prettier-ignore
    const { age } = await backupAge(store, await loadReplica(store), 3 * LTX_START);
    const arrivals = await Promise.all((await store.keys()).map(async (key) => (await store.head(key))!.lastModified));
    assert.equal(age, 3 * LTX_START - Math.max(...arrivals));
  });
}
