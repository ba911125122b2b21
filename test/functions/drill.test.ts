/** Drills: what they prove, what they do not, and the evidence they leave. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, afterEach, test } from 'node:test';
import type { SQSBatchResponse } from 'aws-lambda';
import { checkIntegrity } from '../../replica/restore/integrity.ts';
import { drill, type DrillReport } from '../../replica/restore/drill.ts';
import { formatChecksum } from '../../replica/format/page-hashes.ts';
import { DRILLS } from '../../replica/terms/layout.ts';
import { unseal } from '../../replica/format/sealed-json.ts';
import { memoryStore } from '../../replica/store/memory.ts';
import { scoped } from '../../replica/store/scoped.ts';
import type { Store } from '../../replica/store/store.ts';
import { stateAt } from '../history/expect.ts';
import { buildHistory, positionOf, type History } from '../history/history.ts';
import { Scratch } from '../history/scratch.ts';
import { rerunnable, Seeded, seeds } from '../history/seeded.ts';
import { BUCKET, contextFor, metricsOf, setStage, sqsEvent, total, timeEndsAt, type Remaining } from './stage.ts';

const stage = await setStage();
const scratch = new Scratch();
process.env['TMPDIR'] = scratch.path;
after(async () => {
  scratch[Symbol.dispose]();
  await stage[Symbol.asyncDispose]();
});
const { handler } = await import('../../functions/drill/handler.ts');
const { server, queues, root } = stage;

afterEach(() => {
  server.faults.clear();
  assert.deepEqual(server.uploads(BUCKET), []);
  assert.deepEqual(server.overwrites(), []);
});

const SMALL = { commits: 12, pageSize: 1024, codec: 'lz4', checkpoints: 0.4, cut: { notRestorable: 0 } } as const;
let seed = 9200;

async function database(name: string): Promise<History> {
  return buildHistory(scoped(root, name), { ...SMALL, control: true, seed: ++seed });
}

async function deliver(bodies: readonly string[], remaining?: Remaining): Promise<SQSBatchResponse> {
  return (await handler(sqsEvent(bodies), contextFor('drill', remaining))) as SQSBatchResponse;
}

function messageOf(database: string): string {
  return JSON.stringify({ database });
}

const OK: SQSBatchResponse = { batchItemFailures: [] };

async function evidence(store: Store): Promise<DrillReport[]> {
  const found: DrillReport[] = [];
  for await (const { key } of store.list(DRILLS)) {
    found.push(unseal('drill', 1, (await store.get(key)).body, key) as unknown as DrillReport);
  }
  return found;
}

test('the schedule sends one message for each database to the queue of drills', async () => {
  await database('app');
  await database('nested/other');
  await handler({ seawall: 'drill' }, contextFor('drill'));
  assert.deepEqual(queues.messages('drill'), ['app', 'nested/other'].map(messageOf));
  assert.deepEqual(queues.messages('sweep'), []);
});

test('a sound database passes: both moments proven, checked by SQLite, the evidence kept, nothing left on disk', async () => {
  const history = await database('sound');
  const { result, metrics } = await metricsOf(() => deliver([messageOf('sound'), messageOf('sound')]));
  assert.deepEqual(result, OK);
  assert.deepEqual([total(metrics, 'DrillPassed'), total(metrics, 'DrillFailed')], [1, 0]);
  const [report, ...more] = await evidence(scoped(root, 'sound'));
  assert.equal(more.length, 0);
  assert.equal(report!.passed, true);
  const [latest, past] = report!.moments;
  assert.equal(latest!.restored!.position, positionOf(history.states.at(-1)!));
  assert.equal(latest!.restored!.checksum, formatChecksum(history.states.at(-1)!.checksum));
  for (const moment of [latest!, past!]) {
    assert.deepEqual(moment.restored!.integrity, { outcome: 'ok' });
    assert.equal(moment.restored!.proof, 'recorded');
  }
  assert.equal(report!.proven.length, 4);
  assert.deepEqual(report!.notProven, []);
  assert.deepEqual(readdirSync(scratch.path), []);
});

test('a damaged database fails: on record, in the metrics, and done', async () => {
  await database('hurt');
  const keys = server.objects(BUCKET).map(({ key }) => key);
  const victim = keys.find((key) => key.startsWith('hurt/') && key.includes('/snapshots/'))!;
  const bytes = server.peek(BUCKET, victim);
  bytes[Math.floor(bytes.length / 2)]! ^= 1;
  server.poke(BUCKET, victim, bytes);
  const { result, metrics } = await metricsOf(() => deliver([messageOf('hurt')]));
  assert.deepEqual(result, OK);
  assert.deepEqual([total(metrics, 'DrillPassed'), total(metrics, 'DrillFailed')], [0, 1]);
  const [report] = await evidence(scoped(root, 'hurt'));
  assert.equal(report!.passed, false);
  assert.equal(report!.moments[0]!.failure!.kind, 'corrupt');
  assert.match(report!.notProven[0]!, /^the latest state could not be restored/);
  assert.deepEqual(readdirSync(scratch.path), []);
});

test('a claim that is damaged fails the drill, as it would fail a restore', async () => {
  await database('claimed');
  const key = 'claimed/seawall/claim';
  const bytes = server.peek(BUCKET, key);
  bytes[bytes.length - 30]! ^= 1;
  server.poke(BUCKET, key, bytes);
  const { metrics } = await metricsOf(() => deliver([messageOf('claimed')]));
  assert.equal(total(metrics, 'DrillFailed'), 1);
});

test('what could not be run comes again: a store that is away, time that ran out; a database gone is no failure', async () => {
  await database('later');
  const refused = { batchItemFailures: [{ itemIdentifier: 'm0' }] };
  server.faults.add({ kind: 'status', status: 403, code: 'AccessDenied', match: ({ op }) => op === 'GetObject' });
  assert.deepEqual(await deliver([messageOf('later')]), refused);
  server.faults.clear();
  const remaining = timeEndsAt(server, ({ op }) => op === 'GetObject');
  assert.deepEqual(await deliver([messageOf('later')], remaining), refused);
  server.faults.clear();
  assert.deepEqual(await evidence(scoped(root, 'later')), []);
  assert.deepEqual(readdirSync(scratch.path), []);
  assert.deepEqual(await deliver([messageOf('later'), messageOf('never')]), OK);
});

test('without room for the file, the checksum is proven and the evidence says what was not', async () => {
  const store = memoryStore();
  await buildHistory(store, { ...SMALL, seed: 9290 });
  const integrity = { folder: scratch.path, room: () => Promise.resolve(1000), check: checkIntegrity };
  const report = await drill(store, { now: Date.now(), random: 0.5, elapsed: () => 0, integrity });
  assert.equal(report.passed, true);
  assert.match(report.notProven[0]!, /integrity check was not run on the latest state: \d+ bytes do not fit/);
  assert.equal(report.proven.length, 2);
});

test('SQLite’s findings fail a drill although the checksum holds', async () => {
  const store = memoryStore();
  await buildHistory(store, { ...SMALL, seed: 9291 });
  const check = (): Promise<string[]> => Promise.resolve(['row 1 missing from index i']);
  const integrity = { folder: scratch.path, room: () => Promise.resolve(1e12), check };
  const report = await drill(store, { now: Date.now(), random: 0.5, elapsed: () => 0, integrity });
  assert.equal(report.passed, false);
  assert.match(report.notProven.join('\n'), /the latest state fails SQLite's integrity check/);
});

test('the past moment may lie anywhere in what can be restored, over all generations', async () => {
  for (const each of seeds(3, 9300)) {
    await rerunnable(each, 'test/functions/drill.test.ts', async () => {
      const store = memoryStore();
      const history = await buildHistory(store, { ...SMALL, seed: each, commits: 24, generations: 3, control: true });
      const random = new Seeded(each);
      const generations = new Set<string>();
      for (const at of [0, 0.999999, ...Array.from({ length: 12 }, () => random.next())]) {
        const { passed, moments } = await drill(store, { now: 1, random: at, elapsed: () => 0 });
        assert.equal(passed, true, JSON.stringify(moments));
        const past = moments[1]!;
        const expected = stateAt(history, Date.parse(past.at))!;
        assert.equal(past.restored!.checksum, formatChecksum(expected.checksum));
        generations.add(past.restored!.position.slice(0, 16));
      }
      assert.ok(generations.size > 1);
    });
  }
});

test('the last ninety drills are kept', async () => {
  const store = memoryStore();
  await buildHistory(store, { ...SMALL, seed: 9295 });
  for (let i = 0; i < 93; i++) await drill(store, { now: i * 86_400_000, random: 0, elapsed: () => 0 });
  const kept = await evidence(store);
  assert.equal(kept.length, 90);
  assert.equal(kept[0]!.now, new Date(3 * 86_400_000).toISOString());
});
