/** The sweep: every database is found and comes to its turn, is compacted, retained, and its age measured. */
import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import type { SQSBatchResponse } from 'aws-lambda';
import { type FannedOut, fanOut } from '../../functions/fan-out.ts';
import { writeHead } from '../../replica/catalogue/head.ts';
import { REPORTS, snapshotKey } from '../../replica/terms/layout.ts';
import { memoryStore } from '../../replica/store/memory.ts';
import { scoped } from '../../replica/store/scoped.ts';
import { loadTimeline } from '../../replica/catalogue/timeline.ts';
import { planCompaction } from '../../replica/compaction/compact.ts';
import { expectState } from '../history/expect.ts';
import { buildHistory, type History } from '../history/history.ts';
import { Scratch } from '../history/scratch.ts';
import {
  BUCKET,
  contextFor,
  GENERATION,
  metricsOf,
  setStage,
  sqsEvent,
  total,
  type Metric,
  timeEndsAt,
  type Remaining,
} from './stage.ts';

const POLICY = { window: 0, daily: 0, weekly: 0, monthly: 0, grace: 0 };
const stage = await setStage({ SEAWALL_RETENTION: JSON.stringify(POLICY), SEAWALL_POLICY_RATIO: '0' });
after(() => stage[Symbol.asyncDispose]());
const { handler } = await import('../../functions/retain/handler.ts');
const { server, queues, root } = stage;
const sent = queues.messages('sweep');

afterEach(async () => {
  server.faults.clear();
  sent.length = 0;
  const keys: string[] = [];
  for await (const { key } of root.list('')) keys.push(key);
  if (keys.length > 0) await root.delete(keys);
  assert.deepEqual(server.uploads(BUCKET), []);
});

const SMALL = { commits: 12, pageSize: 1024, codec: 'lz4', checkpoints: 0.4, cut: { notRestorable: 0 } } as const;
let seed = 9100;

async function database(name: string, control = false): Promise<History> {
  return buildHistory(scoped(root, name), { ...SMALL, control, seed: ++seed });
}

async function bare(...names: readonly string[]): Promise<void> {
  for (const name of names) await scoped(root, name).put(snapshotKey(GENERATION, 0, 'lz4'), Buffer.from('x'));
}

async function sweep(remaining?: Remaining): Promise<FannedOut> {
  return (await handler({ seawall: 'sweep' }, contextFor('retain', remaining))) as FannedOut;
}

async function deliver(bodies: readonly string[], remaining?: Remaining): Promise<SQSBatchResponse> {
  return (await handler(sqsEvent(bodies), contextFor('retain', remaining))) as SQSBatchResponse;
}

function messageOf(database: string): string {
  return JSON.stringify({ database });
}

function failing(...ids: readonly string[]): SQSBatchResponse {
  return { batchItemFailures: ids.map((itemIdentifier) => ({ itemIdentifier })) };
}

test('the scheduled sweep sends one message for each database, at whatever depth', async () => {
  const names = [
    'a',
    'b/c',
    'b/d/e',
    'b-x',
    'größe 1',
    ...Array.from({ length: 25 }, (_, i) => `many/db-${String(i)}`),
  ];
  await bare(...names);
  assert.deepEqual(await sweep(), { databases: names.length, continuedAfter: undefined });
  assert.deepEqual(sent.toSorted(), names.map(messageOf).toSorted());
});

test('entries that the queue leaves over are sent again; one that it finds fault with fails the sweep', async () => {
  await bare(...Array.from({ length: 14 }, (_, i) => `db-${String(i)}`));
  queues.refuse(7);
  assert.equal((await sweep()).databases, 14);
  assert.equal(new Set(sent).size, 14);
  queues.refuse(1, true);
  await assert.rejects(sweep(), { name: 'Seawall.refused.QUEUE_REFUSED' });
});

test('out of time, the sweep goes on through the queue until it has come to every database', async () => {
  const names = ['a', 'a/b', 'a-b', 'b/1', 'b/2', 'c/d/e'];
  await bare(...names);
  const found: string[] = [];
  const first = await sweep(5000);
  assert.deepEqual(first, { databases: 1, continuedAfter: 'a' });
  for (let runs = 0; sent.length > 0; runs++) {
    assert.ok(runs < 10, 'it comes to an end');
    const bodies = sent.splice(0);
    found.push(...bodies.filter((body) => body.startsWith('{"database"')));
    const go = bodies.filter((body) => body.startsWith('{"sweep"'));
    if (go.length > 0) assert.deepEqual(await deliver(go, 5000), failing());
  }
  // What lies inside a replica is not looked at: a/b is no database of its own.
  assert.deepEqual(found, ['a', 'a-b', 'b/1', 'b/2', 'c/d/e'].map(messageOf));
});

test('ten thousand databases: each once, in batches of ten, also in several runs', async () => {
  const names = Array.from({ length: 10_000 }, (_, i) => `tenant-${String(i).padStart(5, '0')}`);
  let listings = 0;
  const many = {
    ...memoryStore(),

    async *folders(prefix: string) {
      listings++;
      if (prefix === '') yield* names;
      else if (prefix.endsWith('/generations/')) yield GENERATION;
    },
  };
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  for (const runTime of [Infinity, 3000]) {
    const found: string[] = [];
    let last: string[] = [];
    let after: string | undefined;
    let runs = 0;
    do {
      let clock = runTime;
      const queue = {
        send: async (bodies: readonly string[]) => {
          assert.ok(bodies.length <= 10);
          await Promise.resolve();
          last = [...bodies];
          found.push(...bodies.filter((body) => body.startsWith('{"database"')));
        },
      };
      const out = await fanOut({ root: many, queue, log, after, remaining: () => clock--, margin: 10 });
      after = out.continuedAfter;
      if (after !== undefined) assert.deepEqual(last, [JSON.stringify({ sweep: { after } })]);
      runs++;
    } while (after !== undefined);
    assert.deepEqual(found, names.map(messageOf));
    assert.ok(runTime === Infinity ? runs === 1 : runs > 2 && runs < 10, `${String(runs)} runs`);
  }
  assert.ok(listings < 21_000, `${String(listings)} listings`);
});

function agesIn(metrics: readonly Metric[]): Metric[] {
  return metrics.filter((metric) => metric['BackupAge'] !== undefined);
}

test('a database is compacted where events were missed, retained, reported on, and its age measured', async () => {
  const history = await database('app');
  const store = scoped(root, 'app');
  const before = await loadTimeline(store);
  const { result, metrics } = await metricsOf(() => deliver([messageOf('app')]));
  assert.deepEqual(result, failing());
  const timeline = await loadTimeline(store);
  const left = await planCompaction(store, timeline, 'always', Date.now());
  assert.deepEqual(left, { kind: 'skip', why: 'no-complete-index' });
  assert.equal(timeline.current!.snapshots.length, 1, 'the older snapshot went');
  assert.ok(timeline.current!.segments.length < before.current!.segments.length);
  using scratch = new Scratch();
  await expectState(store, scratch, { kind: 'latest' }, history.states.at(-1)!);
  const reports: string[] = [];
  for await (const { key } of store.list(REPORTS)) reports.push(key);
  assert.equal(reports.length, 1);
  assert.deepEqual([total(metrics, 'DatabasesSwept'), total(metrics, 'RetentionRefused')], [1, 0]);
  const [age] = agesIn(metrics);
  assert.deepEqual(age!._aws.CloudWatchMetrics[0]!.Dimensions, [[], ['Database']]);
  assert.equal(age!['Database'], 'app');
  assert.ok((age!['BackupAge'] as number) < 60, 'the newest segment has just arrived');
});

test('the age: of the head while the database idles, and not of compaction; a clock ahead hides nothing', async () => {
  const history = await database('idle', true);
  const store = scoped(root, 'idle');
  const state = history.states.at(-1)!;
  const { pages, checksum, generation, index, offset } = state;
  const position = { generation, index, offset };
  const now = Date.now();
  const { backupAge } = await import('../../replica/restore/backup-age.ts');
  const { loadReplica } = await import('../../replica/restore/choose.ts');
  const ageAt = async (later: number): Promise<number> =>
    (await backupAge(store, await loadReplica(store), now + later)).age!;
  for (const seen of [now, now + 86_400_000]) {
    await writeHead(store, { position, pages, checksum, committed: state.time, seen });
    const age = await ageAt(3_600_000);
    assert.ok(
      Math.abs(age - 3_600_000) < 10_000,
      `${String(age)} ms with the shipper's clock at ${String(seen - now)}`,
    );
  }
  await deliver([messageOf('idle')]);
  assert.ok((await ageAt(3_600_000)) > 3_500_000, 'the new snapshot makes nothing younger');
});

test("one database's failure fails exactly its messages; the others are swept, and so is its retention", async () => {
  await database('fine');
  await database('hurt');
  const hurt = server.objects(BUCKET).filter(({ key }) => key.startsWith('hurt/') && key.includes('/wal/'));
  const victim = hurt[0]!.key;
  const bytes = server.peek(BUCKET, victim);
  bytes[bytes.length - 20]! ^= 1;
  server.poke(BUCKET, victim, bytes);
  const bodies = [messageOf('fine'), messageOf('hurt'), messageOf('hurt'), messageOf('fine'), 'junk', '{"database":7}'];
  const { result, metrics } = await metricsOf(() => deliver(bodies));
  assert.deepEqual(result.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier).toSorted(), ['m1', 'm2', 'm4', 'm5']); // prettier-ignore
  assert.equal(total(metrics, 'DatabasesSwept'), 1);
  assert.equal(agesIn(metrics).length, 2);
});

test('a database that is gone by its turn is no failure', async () => {
  assert.deepEqual(await deliver([messageOf('gone'), messageOf('')]), failing());
});

test('out of time, databases are left to the queue', async () => {
  await database('late');
  const remaining = timeEndsAt(server, ({ op }) => op === 'GetObject');
  assert.deepEqual(await deliver([messageOf('late'), messageOf('later')], remaining), failing('m0', 'm1'));
  server.faults.clear();
  assert.deepEqual(await deliver([messageOf('late')]), failing());
});

test('a refusal of retention is in the metrics', async () => {
  const { generations } = await database('torn');
  const { id } = generations[0]!;
  const keys = server.objects(BUCKET).map(({ key }) => key);
  const wal = keys.filter((key) => key.startsWith(`torn/generations/${id}/wal/`));
  const middle = wal.filter((key) => key.includes('/wal/00000001_'));
  assert.ok(middle.length > 0 && wal.length > middle.length + 1);
  await root.delete(middle);
  const { metrics } = await metricsOf(() => deliver([messageOf('torn')]));
  assert.equal(total(metrics, 'RetentionRefused'), 1);
});

test('an invocation that is neither the sweep nor a queue event is refused', async () => {
  await assert.rejects(handler({ seawall: 'drill' }, contextFor('retain')), { name: 'Seawall.input.EVENT' });
});
