/** We list, verify, restore and read what a real Litestream 0.5 wrote. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { drill } from '../../replica/restore/drill.ts';
import { loadLtxHistory, stateTime, type LtxHistory } from '../../replica/ltx/history.ts';
import { openAt } from '../../replica/restore/choose.ts';
import { restore } from '../../replica/restore/restore.ts';
import { LATEST, type Target } from '../../replica/terms/target.ts';
import { verify } from '../../replica/verification/verify.ts';
import { expectKind } from '../history/expect.ts';
import { hashOf } from '../history/history.ts';
import type { LitestreamSettings } from './litestream.ts';
import { withLitestream } from './with-litestream.ts';

/** Quick enough to see levels, snapshots and the end of level 0 within seconds. */
const QUICK: LitestreamSettings = {
  top: [
    'levels:',
    '  - interval: 2s',
    '  - interval: 5s',
    'snapshot:',
    '  interval: 4s',
    '  retention: 1h',
    'l0-retention: 3s',
    'l0-retention-check-interval: 1s',
  ],
  database: ['monitor-interval: 50ms'],
  replica: ['sync-interval: 50ms'],
};

/** Whether there are unmerged and merged files, snapshots, and states both one and several transactions apart. */
function varied({ files, states }: LtxHistory): boolean {
  const levels = new Set(files.map(({ level }) => level));
  const next = new Set(states.slice(1).map(({ txid }, before) => txid === states[before]!.txid + 1));
  return [0, 1, 9].every((level) => levels.has(level)) && next.size === 2 && states.length > 5;
}

withLitestream(
  ['0.5'],
  'its bucket of LTX files is listed, verified, restored and read by us',
  async ({ litestream, scene, recorded, place, store }) => {
    recorded.write(2, 'before the sidecar');
    let history: LtxHistory | undefined;
    for (let run = 1; history === undefined || !varied(history); run++) {
      assert.ok(run <= 5, `${history?.files.map(({ key }) => key).join(' ')}`);
      await using sidecar = litestream.replicate(place, scene.database, QUICK);
      for (let burst = 0; burst < 10; burst++) {
        for (let i = 0; i < 40; i++) recorded.insert();
        if (burst === 6) recorded.db.exec('DELETE FROM t WHERE id > 300; VACUUM');
        await sleep(700); // merging happens by time
      }
      await recorded.shipped(store);
      await sidecar.stop();
      history = await loadLtxHistory(store);
    }
    const live = recorded.content(scene.database);
    recorded.close();
    assert.deepEqual(history.foreign, []);
    const report = await verify(store, { deep: { integrity: (path) => Promise.resolve(recorded.integrity(path)) } });
    assert.deepEqual(report.problems, []);
    assert.deepEqual(report.proof, { recorded: 0, frames: history.files.length });

    let files = 0;
    const ours = async (target: Target): Promise<{ readonly bytes: Buffer; readonly position: string }> => {
      const path = join(scene.folder, `ours-${++files}.db`);
      const { proof, position } = await restore(store, path, { target });
      assert.equal(proof, 'files');
      const bytes = readFileSync(path);
      if (target === LATEST) assert.equal(recorded.content(path), live);
      assert.deepEqual(recorded.integrity(path), []);
      rmSync(path);
      return { bytes, position };
    };
    const theirs = async (...flags: readonly string[]): Promise<string> => {
      const found = await recorded.restoredBy(litestream, place, ...flags);
      assert.ok(found.ok, found.said);
      return found.hash;
    };
    const latest = await ours(LATEST);
    assert.equal(hashOf(latest.bytes), await theirs());
    for (const state of history.states) {
      const target = { kind: 'txid', txid: state.txid } as const;
      const { bytes, position } = await ours(target);
      assert.equal(hashOf(bytes), await theirs('-txid', position.slice('txid:'.length)), position);
      const next = history.states[history.states.indexOf(state) + 1];
      const time = await stateTime(store, state);
      if (next === undefined || next.txid === state.txid + 1) {
        assert.deepEqual((await ours({ kind: 'time', time })).bytes, bytes);
      } else {
        // Litestream restores the older state without an error.
        const error = await expectKind(
          restore(store, join(scene.folder, 'none.db'), { target: { kind: 'time', time } }),
          'point',
        );
        assert.equal(error.code, 'POINT_NOT_KEPT');
      }
      const open = await openAt(store, target);
      assert.equal(open.pages * open.pageSize, bytes.length);
      assert.deepEqual(await open.readPages(1, open.pages), bytes);
      await open.close();
    }
    const drilled = await drill(store, { now: Date.now(), random: 0.4, elapsed: () => performance.now() });
    assert.ok(drilled.passed);
    assert.match(drilled.moments[1]!.at, /^txid:/);
  },
);
