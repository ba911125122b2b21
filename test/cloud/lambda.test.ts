/**
 * The functions as they are deployed: each bundle alone in a folder, with the environment and the memory that the
 * template gives it, under AWS's own runtime client, and with exactly the rights of its role in the bucket.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SQSBatchResponse } from 'aws-lambda';
import { bundleFunctions } from '../../infra/bundle-functions.ts';
import { DRILLS, REPORTS } from '../../replica/terms/layout.ts';
import { s3Store } from '../../replica/store/s3/store.ts';
import { scoped } from '../../replica/store/scoped.ts';
import type { Store } from '../../replica/store/store.ts';
import { loadTimeline } from '../../replica/catalogue/timeline.ts';
import { startQueueServer, type QueueServer } from '../functions/queue-server.ts';
import { BUCKET, s3Notification, sqsEvent } from '../functions/stage.ts';
import { expectState, latestState } from '../history/expect.ts';
import { buildHistory, hashOf, positionOf, type History, type HistoryOptions } from '../history/history.ts';
import { Scratch } from '../history/scratch.ts';
import { rolesOf, type Roles } from '../infra/role-access.ts';
import { only, templateOf } from '../infra/synthesis.ts';
import { startS3Server, type S3Server } from '../s3-server/index.ts';
import { LambdaFunction, type FunctionSetup } from './lambda-function.ts';
import type { Outcome } from './runtime-api.ts';

const FUNCTIONS = {
  compact: 'BackupCompactionCompact',
  retain: 'BackupSweepRetain',
  restore: 'BackupRestoresRestore',
  drill: 'BackupDrillsDrill',
} as const;
type Name = keyof typeof FUNCTIONS;
const NAMES = Object.keys(FUNCTIONS) as Name[];

const template = templateOf({ root: 'dbs/' });
const folder = mkdtempSync(join(tmpdir(), 'seawall-functions-'));
const sizes = new Map<string, number>();
const figures: string[] = [];
let roles: Roles;
let server: S3Server;
let queues: QueueServer;
let root: Store;

before(async () => {
  roles = rolesOf(template, Object.values(FUNCTIONS).map((id) => `${id}Role`)); // prettier-ignore
  server = await startS3Server({ buckets: [BUCKET], auth: roles.access });
  queues = await startQueueServer();
  const credentials = { accessKeyId: 'root', secretAccessKey: 'test' };
  root = s3Store({ bucket: BUCKET, prefix: 'dbs/', endpoint: server.endpoint, credentials });
  for (const { name, size } of await bundleFunctions({ out: folder })) sizes.set(name, size);
});
after(async () => {
  await root.close();
  await queues.close();
  await server.close();
  rmSync(folder, { recursive: true });
  process.stdout.write(`${figures.join('\n')}\n`);
});

/** The function as the template has it; `more` over its environment. */
function setup(name: Name, more: Readonly<Record<string, string | undefined>> = {}): FunctionSetup {
  const { properties } = only(template, 'AWS::Lambda::Function', `${FUNCTIONS[name]}Function`);
  const { Variables } = properties['Environment'] as { readonly Variables: Record<string, string> };
  const environment = Object.entries(Variables).map(([key, value]) => [key, deployed(value)] as const);
  return {
    name,
    bundle: join(folder, name),
    handler: properties['Handler'] as string,
    memorySize: properties['MemorySize'] as number,
    environment: {
      ...Object.fromEntries(environment),
      AWS_ACCESS_KEY_ID: `${FUNCTIONS[name]}Role`,
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_SESSION_TOKEN: 'test',
      SEAWALL_S3_ENDPOINT: server.endpoint,
      SEAWALL_SQS_ENDPOINT: queues.endpoint,
      ...more,
    },
  };
}

/** References of the template, as they are in this place. */
function deployed(value: string): string {
  if (/^<BackupBucket\w+>$/.test(value)) return BUCKET;
  if (/^<BackupSweepWorkQueue\w+>$/.test(value)) return queues.url('sweep');
  if (/^<BackupDrillsWorkQueue\w+>$/.test(value)) return queues.url('drill');
  assert.ok(!value.includes('<'), `a reference that nothing stands for: ${value}`);
  return value;
}

const SMALL = { commits: 12, pageSize: 1024, codec: 'lz4', checkpoints: 0.4, cut: { notRestorable: 0 } } as const;
const BIG = { ...SMALL, workload: { largest: 2_000_000, most: 30_000_000 }, pageSize: 4096, commits: 40 } as const;
let seed = 9700;

async function database(name: string, options: Partial<HistoryOptions> = {}): Promise<History> {
  return buildHistory(scoped(root, name), { ...SMALL, control: true, seed: ++seed, ...options });
}

/** What S3 would tell the queue of this database's newest index. */
function notified(name: string): string {
  const keys = server.objects(BUCKET).map(({ key }) => key);
  return s3Notification(keys.findLast((key) => key.startsWith(`dbs/${name}/`) && key.endsWith('_00000000.wal.lz4'))!);
}

async function snapshots(name: string): Promise<number> {
  return (await loadTimeline(scoped(root, name))).current!.snapshots.length;
}

function damage(part: string): void {
  const { key } = server.objects(BUCKET).find((object) => object.key.includes(part))!;
  const bytes = server.peek(BUCKET, key);
  bytes[bytes.length - 20]! ^= 1;
  server.poke(BUCKET, key, bytes);
}

function keys(prefix: string): string[] {
  return server.objects(BUCKET).map(({ key }) => key).filter((key) => key.startsWith(prefix)); // prettier-ignore
}

function answered(outcome: Outcome): unknown {
  assert.equal(outcome.kind, 'answered', JSON.stringify(outcome));
  return outcome.answer;
}

const DONE: SQSBatchResponse = { batchItemFailures: [] };

function left(...ids: readonly string[]): SQSBatchResponse {
  return { batchItemFailures: ids.map((itemIdentifier) => ({ itemIdentifier })) };
}

/** Sum of a metric in what the function printed. */
function total(lambda: LambdaFunction, metric: string): number {
  return lambda.log.reduce((sum, line) => sum + ((line[metric] as number | undefined) ?? 0), 0);
}

async function measured(
  name: Name,
  first: (lambda: LambdaFunction) => Promise<void>,
  lambda: LambdaFunction,
): Promise<void> {
  // prettier-ignore
  const began = performance.now();
  await first(lambda);
  const answer = performance.now() - began;
  const kilobytes = ((sizes.get(name) ?? 0) / 1024).toFixed(0);
  figures.push(`| ${name} | ${kilobytes} KiB | ${lambda.coldStart.toFixed(0)} ms | ${answer.toFixed(0)} ms | ${lambda.peakMemory ?? '?'} MiB |`); // prettier-ignore
}

test('compact: an event of S3 in its queue becomes a snapshot; one process answers many times', async () => {
  const history = await database('app');
  await database('two');
  await database('hurt');
  damage('dbs/hurt/generations/' + (await loadTimeline(scoped(root, 'hurt'))).current!.id + '/wal/');
  await using lambda = await LambdaFunction.start(setup('compact', { SEAWALL_POLICY_RATIO: '0.01' }));
  const invoke = async (...bodies: string[]): Promise<unknown> => answered(await lambda.invoke(sqsEvent(bodies)));
  await measured('compact', async () => {
    assert.deepEqual(await invoke(notified('app')), DONE);
  }, lambda); // prettier-ignore
  assert.equal(await snapshots('app'), 2);
  using scratch = new Scratch();
  await expectState(scoped(root, 'app'), scratch, { kind: 'latest' }, latestState(history));

  // Of a batch, exactly the messages of the damaged database come again, and what is no event at all.
  assert.deepEqual(await invoke(notified('two'), notified('hurt'), notified('app'), '{'), left('m3', 'm1'));
  assert.deepEqual([await snapshots('two'), await snapshots('hurt')], [2, 1]);
  assert.deepEqual([total(lambda, 'Compactions'), total(lambda, 'CompactionFailed')], [2, 1]);
  assert.deepEqual(await invoke(notified('two')), DONE);

  const unknown = await lambda.invoke({ database: 'app' });
  assert.equal(unknown.kind, 'failed');
  assert.equal(unknown.type, 'Seawall.input.EVENT');
  assert.match(unknown.message, /invoked by its queue/);
  assert.deepEqual(await invoke(notified('app')), DONE, 'a failed invocation does the next no harm');
  const compacted = lambda.log.filter(({ message }) => message === 'compacted');
  assert.equal(compacted.length, 2);
  assert.equal(compacted[0]!['cold_start'], true);
  assert.equal(compacted[1]!['cold_start'], false);
});

test('compact: time that runs out leaves the rest to the queue; an environment that is ended in mid-work, too', async () => {
  await database('slow', BIG);
  await database('next');
  const bodies = [notified('slow'), notified('next')];
  const slow = { kind: 'slow', latency: 1000, match: ({ key }: { key: string }) => key.includes('/slow/gen') } as const;
  server.faults.add(slow);
  await using lambda = await LambdaFunction.start(setup('compact', { SEAWALL_POLICY_RATIO: '0.01' }));
  // The deadline is kept with ten seconds to spare.
  assert.deepEqual(answered(await lambda.invoke(sqsEvent(bodies), 11_500)), left('m0', 'm1'));
  assert.deepEqual([await snapshots('slow'), await snapshots('next')], [1, 1]);
  assert.deepEqual(server.uploads(BUCKET), []);
  server.faults.clear();

  const parts = server.faults.add({ kind: 'slow', latency: 60_000, match: ({ op }) => op === 'UploadPart' });
  const dying = lambda.invoke(sqsEvent(bodies));
  while (parts.hits === 0) await sleep(20);
  await lambda.kill();
  server.faults.clear();
  assert.ok(server.uploads(BUCKET).length > 0, 'it was killed in the middle of an upload');
  void dying;
  await using fresh = await LambdaFunction.start(setup('compact', { SEAWALL_POLICY_RATIO: '0.01' }));
  await using beside = await LambdaFunction.start(setup('compact', { SEAWALL_POLICY_RATIO: '0.01' }));
  const outcomes = await Promise.all([fresh.invoke(sqsEvent(bodies)), beside.invoke(sqsEvent(bodies.toReversed()))]);
  assert.deepEqual(outcomes.map(answered), [DONE, DONE]);
  assert.deepEqual([await snapshots('slow'), await snapshots('next')], [2, 2]);
  for await (const upload of root.unfinished('')) await upload.abort();
});

test('retain: its schedule sends a message for each database, and each message is one sweep', async () => {
  await database('swept');
  await using lambda = await LambdaFunction.start(setup('retain'));
  await measured('retain', async () => {
    const { databases } = answered(await lambda.invoke({ seawall: 'sweep' })) as { databases: number };
    assert.ok(databases > 0);
  }, lambda); // prettier-ignore
  const sent = queues.messages('sweep').splice(0);
  assert.ok(sent.includes('{"database":"swept"}'));
  assert.deepEqual(answered(await lambda.invoke(sqsEvent(['{"database":"swept"}', 'junk']))), left('m1'));
  assert.equal(keys(`dbs/swept/${REPORTS}`).length, 1);
  assert.equal(total(lambda, 'DatabasesSwept'), 1);
  const age = lambda.log.find((line) => line['Database'] === 'swept' && line['BackupAge'] !== undefined);
  assert.ok((age!['BackupAge'] as number) < 300);
});

test('drill: restores, has SQLite check the file, keeps the evidence, leaves nothing on disk', async () => {
  await database('drilled');
  await database('broken');
  damage('dbs/broken/generations/' + (await loadTimeline(scoped(root, 'broken'))).current!.id + '/snapshots/');
  await using lambda = await LambdaFunction.start(setup('drill'));
  await measured('drill', async () => {
    assert.deepEqual(answered(await lambda.invoke(sqsEvent(['{"database":"drilled"}']))), DONE);
  }, lambda); // prettier-ignore
  assert.deepEqual([total(lambda, 'DrillPassed'), total(lambda, 'DrillFailed')], [1, 0]);
  const [evidence] = keys(`dbs/drilled/${DRILLS}`);
  assert.match(server.peek(BUCKET, evidence!).toString(), /"integrity":\{"outcome":"ok"\}/);
  assert.deepEqual(answered(await lambda.invoke(sqsEvent(['{"database":"broken"}']))), DONE);
  assert.deepEqual([total(lambda, 'DrillPassed'), total(lambda, 'DrillFailed')], [1, 1]);
  assert.deepEqual(lambda.leftovers, []);
  answered(await lambda.invoke({ seawall: 'drill' }));
  assert.ok(queues.messages('drill').includes('{"database":"drilled"}'));
});

test('restore: into the bucket with a link; each failure is a failed invocation with its type, and makes nothing', async () => {
  const history = await database('wanted');
  await database('large', BIG);
  await using lambda = await LambdaFunction.start(setup('restore'));
  await measured('restore', async () => {
    const answer = answered(await lambda.invoke({ database: 'wanted', verify: 'integrity' })) as Record<string, string>;
    assert.equal(answer['position'], positionOf(latestState(history)));
    const fetched = await fetch(answer['url']!);
    assert.equal(hashOf(Buffer.from(await fetched.arrayBuffer())), latestState(history).hash);
  }, lambda); // prettier-ignore
  const made = keys('');

  const fails = async (
    request: unknown,
    type: string,
    message: RegExp,
    by = lambda,
    timeout?: number,
  ): Promise<void> => {
    const outcome = await by.invoke(request, timeout);
    assert.equal(outcome.kind, 'failed', JSON.stringify(outcome));
    assert.equal(outcome.type, type, outcome.message);
    assert.match(outcome.message, message);
    assert.deepEqual(keys(''), made, 'nothing is at the target');
    assert.deepEqual(server.uploads(BUCKET), []);
    assert.deepEqual(lambda.leftovers, []);
  };
  await fails({ database: 'nobody' }, 'Seawall.missing.REPLICA_EMPTY', /nobody/);
  await fails({ database: 'wanted', at: 'yesterday' }, 'Seawall.input.AT', /Give latest, a time such as/);
  await fails({ database: 'wanted', at: '2199-01-01T00:00:00Z' }, 'Seawall.input.FUTURE_TIME', /in the future/);
  await fails({ database: 'wanted', at: '2020-01-01T00:00:00Z' }, 'Seawall.point.POINT_BEFORE_FIRST', /2026-03-01/);
  await fails({ databse: 'wanted' }, 'Seawall.input.UNKNOWN_FIELD', /"databse"/);
  await fails({ database: 'wanted', target: 'dbs/wanted/seawall/claim' }, 'Seawall.input.TARGET', /restores\//);
  server.faults.add({ kind: 'slow', latency: 700, match: ({ key }) => key.includes('/large/gen') });
  await fails({ database: 'large' }, 'Seawall.time.OUT_OF_TIME', /time is up/, lambda, 11_500);
  server.faults.clear();

  // The rights of another role: it may read databases, and put nothing below restores/.
  const refusedBefore = roles.refused.length;
  await using other = await LambdaFunction.start(setup('restore', { AWS_ACCESS_KEY_ID: 'BackupDrillsDrillRole' }));
  await fails({ database: 'wanted' }, 'Seawall.denied.STORE_ACCESS_DENIED', /restores\//, other);
  assert.ok(roles.refused.splice(refusedBefore).every((line) => line.startsWith('BackupDrillsDrillRole s3:')));
  answered(await lambda.invoke({ database: 'wanted', dryRun: true }));
});

test('settings that are wrong end a function before its first event, and say which', async () => {
  const cases = [
    ['compact', { SEAWALL_POLICY_RATIO: 'half' }, /SEAWALL_POLICY_RATIO must be a number/],
    ['retain', { SEAWALL_RETENTION: '{"windw":1}' }, /windw/],
    ['restore', { SEAWALL_BUCKET: '' }, /bucket/i],
    ['drill', { SEAWALL_DRILL_QUEUE_URL: undefined }, /SEAWALL_DRILL_QUEUE_URL is not set/],
  ] as const;
  for (const [name, environment, message] of cases) {
    const start = LambdaFunction.start(setup(name, environment)).then((begun) => begun[Symbol.asyncDispose]());
    await assert.rejects(start, { message }, name);
  }
});

test('each role was allowed all that its function asked for', () => {
  assert.deepEqual(roles.refused, []);
});

test('figures: what the runtime itself takes, for comparison', async () => {
  const bundle = join(folder, 'empty');
  mkdirSync(bundle);
  writeFileSync(join(bundle, 'index.mjs'), 'export const handler = async () => null;');
  const environment = {};
  await using lambda = await LambdaFunction.start({ name: 'empty', bundle, handler: 'index.handler', memorySize: 128, environment }); // prettier-ignore
  assert.equal(answered(await lambda.invoke({})), null);
  figures.unshift(
    '| function | bundle | cold start | first answer | peak memory |',
    '| --- | --: | --: | --: | --: |',
    `| (an empty one) | – | ${lambda.coldStart.toFixed(0)} ms | – | ${lambda.peakMemory ?? '?'} MiB |`,
  );
  assert.deepEqual(figures.length, NAMES.length + 3);
});
