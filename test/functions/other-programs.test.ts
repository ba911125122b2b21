/** The restore function, the drill and the sweep, over replicas of all three kinds: ours, Litestream 0.3's and Litestream 0.5's. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { RestoreAnswer, RestorePlanAnswer } from '../../functions/restore/restore-database.ts';
import type { FannedOut } from '../../functions/fan-out.ts';
import { DRILLS } from '../../replica/terms/layout.ts';
import { unseal } from '../../replica/format/sealed-json.ts';
import { scoped } from '../../replica/store/scoped.ts';
import { formatTime } from '../../replica/terms/target.ts';
import { foreignReplica } from '../history/foreign.ts';
import { buildHistory, hashOf } from '../history/history.ts';
import { LTX_START, LTX_STEP, ltxReplica } from '../history/ltx-replica.ts';
import { Scratch } from '../history/scratch.ts';
import { collect } from '../../testing/store/reading.ts';
import { BUCKET, contextFor, metricsOf, setStage, sqsEvent, total } from './stage.ts';

const scratch = new Scratch();
process.env['TMPDIR'] = scratch.path;
const stage = await setStage();
after(async () => {
  scratch[Symbol.dispose]();
  await stage[Symbol.asyncDispose]();
});
const { handler: restoreHandler } = await import('../../functions/restore/handler.ts');
const { handler: retainHandler } = await import('../../functions/retain/handler.ts');
const { handler: drillHandler } = await import('../../functions/drill/handler.ts');
const { server, queues, root } = stage;

const ours = await buildHistory(scoped(root, 'ours'), { seed: 9700, commits: 8, pageSize: 1024, codec: 'lz4', cut: { notRestorable: 0 } }); // prettier-ignore
const three = await foreignReplica(9701);
for (const { key } of await collect(three.store.list(''))) {
  await scoped(root, 'litestream-3').put(key, (await three.store.get(key)).body);
}
const five = await ltxReplica(scoped(root, 'litestream-5'), { seed: 9702, transactions: 6, snapshots: [4] });

const LATEST = [
  { database: 'ours', hash: ours.states.at(-1)!.hash, proof: 'recorded', position: /^[0-9a-f]{16}\// },
  { database: 'litestream-3', hash: three.history.states.at(-1)!.hash, proof: 'frames', position: /^[0-9a-f]{16}\// },
  { database: 'litestream-5', hash: five.states.at(-1)!.hash, proof: 'files', position: /^txid:0{15}6$/ },
] as const;

test('the restore function restores each kind, says what is proven, and lets SQLite check it', async () => {
  for (const { database, hash, proof, position } of LATEST) {
    const answer = (await restoreHandler({ database, verify: 'integrity' }, contextFor('restore'))) as RestoreAnswer;
    assert.equal(hashOf(server.peek(BUCKET, answer.key)), hash, database);
    assert.equal(answer.proof, proof);
    assert.match(answer.position, position);
  }
});

test('a transaction, a moment and a dry run, of LTX files', async () => {
  const { hash, time } = five.states[4]!;
  for (const at of ['txid:0000000000000005', formatTime(time), formatTime(time + LTX_STEP - 1)]) {
    const answer = (await restoreHandler({ database: 'litestream-5', at }, contextFor('restore'))) as RestoreAnswer;
    assert.equal(hashOf(server.peek(BUCKET, answer.key)), hash, at);
    assert.equal(answer.time, formatTime(time));
    assert.match(answer.key, /^restores\/litestream-5\/txid-0{15}5-[0-9a-f]{16}\.db$/);
  }
  const request = { database: 'litestream-5', dryRun: true };
  const planned = (await restoreHandler(request, contextFor('restore'))) as RestorePlanAnswer;
  assert.deepEqual([planned.pages, planned.segments, planned.proof], [five.states.at(-1)!.pages, 2, 'files']);
  assert.match(planned.snapshot, /^ltx\/9\//);
  const early = restoreHandler({ database: 'litestream-5', at: formatTime(LTX_START) }, contextFor('restore'));
  await assert.rejects(early, /POINT_BEFORE_FIRST|before the first state/);
});

test('the drill comes to each kind, passes, and keeps its evidence', async () => {
  await drillHandler({ seawall: 'drill' }, contextFor('drill'));
  const messages = queues.messages('drill');
  const databases = messages.map((body) => (JSON.parse(body) as { database: string }).database);
  assert.deepEqual(databases, ['litestream-3', 'litestream-5', 'ours']);
  const { metrics } = await metricsOf(() => drillHandler(sqsEvent(messages), contextFor('drill')));
  assert.equal(total(metrics, 'DrillPassed'), 3);
  for (const { database, proof } of LATEST) {
    const store = scoped(root, database);
    const { key } = (await collect(store.list(DRILLS)))[0]!;
    const report = unseal('drill', 1, (await store.get(key)).body, key) as {
      moments: { restored: { proof: string } }[];
    };
    assert.deepEqual(report.moments.map(({ restored }) => restored.proof), [proof, proof]); // prettier-ignore
  }
});

test('the sweep measures the age of each kind, goes on behind LTX files, and leaves them alone', async () => {
  const keys = (): string[] =>
    server
      .objects(BUCKET)
      .map(({ key }) => key)
      .filter((key) => key.startsWith('litestream-5/'));
  const before = keys();
  assert.equal(((await retainHandler({ seawall: 'sweep' }, contextFor('retain'))) as FannedOut).databases, 3);
  const messages = ['litestream-5', 'litestream-3', 'ours'].map((database) => JSON.stringify({ database }));
  const { result, metrics } = await metricsOf(() => retainHandler(sqsEvent(messages), contextFor('retain')));
  assert.deepEqual(result, { batchItemFailures: [] });
  const ages = metrics.filter((metric) => metric['BackupAge'] !== undefined);
  assert.deepEqual(ages.map((metric) => metric['Database']).toSorted(), ['litestream-3', 'litestream-5', 'ours']);
  assert.equal(total(metrics, 'DatabasesSwept'), 3);
  assert.deepEqual(keys(), before);
});
