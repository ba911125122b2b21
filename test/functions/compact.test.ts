/** The compact function: whatever its queue delivers, databases end up compacted or their messages come again. */
import assert from 'node:assert/strict';
import { after, afterEach, describe, test } from 'node:test';
import type { SQSBatchResponse } from 'aws-lambda';
import { segmentKey } from '../../replica/terms/layout.ts';
import { scoped } from '../../replica/store/scoped.ts';
import { loadTimeline } from '../../replica/catalogue/timeline.ts';
import { expectState } from '../history/expect.ts';
import { buildHistory, type History, type HistoryOptions } from '../history/history.ts';
import { Scratch } from '../history/scratch.ts';
import { BUCKET, contextFor, GENERATION, metricsOf, s3Notification, s3Record, setStage, sqsEvent, TEST_EVENT, total, timeEndsAt, type Remaining } from './stage.ts'; // prettier-ignore

const stage = await setStage({ SEAWALL_ROOT: 'dbs/', SEAWALL_POLICY_RATIO: '0', SEAWALL_POLICY_MAX_AGE: '86400000' });
after(() => stage[Symbol.asyncDispose]());
const { handler } = await import('../../functions/compact/handler.ts');
const { server, root } = stage;

afterEach(() => {
  server.faults.clear();
  assert.deepEqual(server.uploads(BUCKET), [], 'no upload is left behind');
  assert.deepEqual(server.overwrites(), []);
});

const SMALL = { commits: 12, pageSize: 1024, codec: 'lz4', checkpoints: 0.4, cut: { notRestorable: 0 } } as const;
let seed = 9000;

async function database(name: string, options: Partial<HistoryOptions> = {}): Promise<History> {
  return buildHistory(scoped(root, name), { ...SMALL, seed: ++seed, ...options });
}

/** Keys of the first segments of a database's indexes. */
function firstSegments(name: string): string[] {
  const keys = server.objects(BUCKET).map(({ key }) => key);
  return keys.filter((key) => key.startsWith(`dbs/${name}/`) && key.endsWith('_00000000.wal.lz4'));
}

async function snapshots(name: string): Promise<number> {
  return (await loadTimeline(scoped(root, name))).current!.snapshots.length;
}

async function deliver(bodies: readonly string[], remaining?: Remaining): Promise<SQSBatchResponse> {
  return handler(sqsEvent(bodies), contextFor('compact', remaining));
}

const OK: SQSBatchResponse = { batchItemFailures: [] };

function failing(...ids: readonly string[]): SQSBatchResponse {
  return { batchItemFailures: ids.map((itemIdentifier) => ({ itemIdentifier })) };
}

test('one event compacts its database to the newest complete index, and what it restores to is the same', async () => {
  const history = await database('app');
  const { result, metrics } = await metricsOf(() => deliver([s3Notification(firstSegments('app').at(-1)!)]));
  assert.deepEqual(result, OK);
  assert.equal(await snapshots('app'), 2);
  assert.equal(total(metrics, 'Compactions'), 1);
  assert.deepEqual(metrics[0]!._aws.CloudWatchMetrics[0]!.Dimensions, [[]]);
  using scratch = new Scratch();
  await expectState(scoped(root, 'app'), scratch, { kind: 'latest' }, history.states.at(-1)!);
});

test('repeated and reordered events of a batch make one compaction for each database, later ones none', async () => {
  await database('one');
  await database('two');
  const bodies = [...firstSegments('one'), ...firstSegments('two')].map((key) => s3Notification(key));
  const mixed = [...bodies.toReversed(), ...bodies];
  const first = await metricsOf(() => deliver(mixed));
  assert.deepEqual(first.result, OK);
  assert.equal(total(first.metrics, 'Compactions'), 2);
  assert.deepEqual([await snapshots('one'), await snapshots('two')], [2, 2]);
  const again = await metricsOf(() => deliver(mixed));
  assert.deepEqual([again.result, total(again.metrics, 'Compactions')], [OK, 0]);
});

test('two runs at once: one snapshot, both succeed', async () => {
  await database('twice');
  const body = s3Notification(firstSegments('twice').at(-1)!);
  assert.deepEqual(await Promise.all([deliver([body]), deliver([body]), deliver([body])]), [OK, OK, OK]);
  assert.equal(await snapshots('twice'), 2);
});

test('encoded keys: spaces, plus signs, umlauts, nested names; several records in one message', async () => {
  const names = ['a b', 'x+y', 'nested/größe', 'per%cent'];
  for (const name of names) await database(name);
  const keys = names.map((name) => firstSegments(name).at(-1)!);
  assert.deepEqual(await deliver([s3Notification(...keys)]), OK);
  for (const name of names) assert.equal(await snapshots(name), 2, name);
});

test('the test event, foreign keys, other buckets and removals are passed over and are no failure', async () => {
  await database('quiet');
  const key = firstSegments('quiet').at(-1)!;
  const segment = segmentKey(GENERATION, 1, 0, 'lz4');
  const records = [
    s3Record('elsewhere/app/' + segment),
    s3Record('dbs/app/' + segment.replace('_00000000', '_00001038')),
    s3Record('dbs/app/readme_00000000.wal.lz4'),
    s3Record(key, 'ObjectCreated:Put', 'another'),
    s3Record(key, 'ObjectRemoved:Delete'),
  ];
  const bodies = [TEST_EVENT, ...records.map((record) => JSON.stringify({ Records: [record] }))];
  assert.deepEqual(await deliver(bodies), OK);
  assert.equal(await snapshots('quiet'), 1);
});

test('events for databases and objects that are gone are no failure', async () => {
  await database('gone');
  const key = firstSegments('gone').at(-1)!;
  const keys: string[] = [];
  for await (const { key } of root.list('gone/')) keys.push(key);
  await root.delete(keys);
  assert.deepEqual(await deliver([s3Notification(key), s3Notification(`dbs/never/${segmentKey(GENERATION, 1, 0, 'lz4')}`)]), OK); // prettier-ignore
});

test('malformed bodies fail by themselves, so that they end where somebody looks at them', async () => {
  await database('beside');
  const good = s3Notification(firstSegments('beside').at(-1)!);
  const bodies = ['{', '[]', '{"Records":[{}]}', good, 'null', JSON.stringify({ Records: [s3Record('dbs/%E0%A4%A')] })];
  assert.deepEqual(await deliver(bodies), failing('m0', 'm1', 'm2', 'm4', 'm5'));
  assert.equal(await snapshots('beside'), 2);
});

test("a database's failure fails exactly its messages", async () => {
  await database('sound');
  const damaged = await database('damaged');
  const { id } = damaged.generations[0]!;
  const victim = server.objects(BUCKET).find(({ key }) => key.startsWith(`dbs/damaged/generations/${id}/wal/`))!.key;
  const bytes = server.peek(BUCKET, victim);
  bytes[bytes.length - 20]! ^= 1;
  server.poke(BUCKET, victim, bytes);
  const [bad, alsoBad] = firstSegments('damaged')
    .slice(-2)
    .map((key) => s3Notification(key));
  const good = s3Notification(firstSegments('sound').at(-1)!);
  const both = s3Notification(firstSegments('sound').at(-1)!, firstSegments('damaged').at(-1)!);
  const { result, metrics } = await metricsOf(() => deliver([good, bad!, good, both, alsoBad!]));
  assert.deepEqual(result, failing('m1', 'm3', 'm4'));
  assert.deepEqual([total(metrics, 'Compactions'), total(metrics, 'CompactionFailed')], [1, 1]);
  assert.equal(await snapshots('damaged'), 1);
});

describe('time running out', () => {
  const BIG = { workload: { largest: 400_000, most: 14_000_000 }, pageSize: 4096, commits: 60 } as const;

  test('the work under way is stopped, its upload aborted, its messages and those not come to are returned', async () => {
    await database('slow', BIG);
    await database('waiting');
    const bodies = ['slow', 'waiting'].map((name) => s3Notification(firstSegments(name).at(-1)!));
    const remaining = timeEndsAt(server, ({ op, key }) => op === 'GetObject' && /\/slow\/.*\/wal\//.test(key));
    const { result, metrics } = await metricsOf(() => deliver([...bodies, bodies[0]!, TEST_EVENT], remaining));
    assert.deepEqual(result, failing('m0', 'm1', 'm2'));
    assert.equal(total(metrics, 'CompactionFailed'), 0, 'to run out of time is no failure of the database');
    assert.deepEqual([await snapshots('slow'), await snapshots('waiting')], [1, 1]);
    server.faults.clear();
    assert.deepEqual(await deliver(bodies), OK);
    assert.deepEqual([await snapshots('slow'), await snapshots('waiting')], [2, 2]);
  });

  test('while parts of the snapshot are on their way', async () => {
    // This seed's snapshot is larger than one part, so it is uploaded in parts.
    await database('parts', { ...BIG, workload: { largest: 2_000_000, most: 30_000_000 }, commits: 40, seed: 9016 });
    const body = s3Notification(firstSegments('parts').at(-1)!);
    const aborted = server.requests.AbortMultipartUpload;
    const remaining = timeEndsAt(server, ({ op }) => op === 'UploadPart');
    assert.deepEqual(await deliver([body], remaining), failing('m0'));
    assert.equal(server.requests.AbortMultipartUpload, aborted + 1, 'an upload had begun');
    assert.deepEqual(server.uploads(BUCKET), []);
    assert.equal(await snapshots('parts'), 1);
  });
});

test('throttling is waited out; a server that is away fails the messages, and the next delivery succeeds', async () => {
  await database('throttled');
  const body = s3Notification(firstSegments('throttled').at(-1)!);
  server.faults.seed(3);
  const throttled = server.faults.add({ kind: 'status', status: 503, code: 'SlowDown', probability: 0.15 });
  assert.deepEqual(await deliver([body]), OK);
  assert.ok(throttled.hits > 0);
  server.faults.clear();
  assert.equal(await snapshots('throttled'), 2);

  await database('away');
  const other = s3Notification(firstSegments('away').at(-1)!);
  server.faults.add({ kind: 'status', status: 403, code: 'AccessDenied', match: ({ op }) => op !== 'ListObjectsV2' });
  assert.deepEqual(await deliver([other]), failing('m0'));
  server.faults.clear();
  assert.deepEqual(await deliver([other]), OK);
  assert.equal(await snapshots('away'), 2);
});

test('an invocation that is no queue event is refused', async () => {
  await assert.rejects(handler({ database: 'app' }, contextFor('compact')), { name: 'Seawall.input.EVENT' });
});
