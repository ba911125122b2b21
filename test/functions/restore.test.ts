/** The restore function: what it answers, and that after any failure nothing is at the target. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, afterEach, before, describe, test } from 'node:test';
import type { RestoreAnswer, RestorePlanAnswer } from '../../functions/restore/restore-database.ts';
import type { Log } from '../../functions/log.ts';
import { formatChecksum } from '../../replica/format/page-hashes.ts';
import { s3Store } from '../../replica/store/s3/store.ts';
import { scoped } from '../../replica/store/scoped.ts';
import { formatTime } from '../../replica/terms/target.ts';
import { latestState, stateAt } from '../history/expect.ts';
import { buildHistory, hashOf, positionOf, type History } from '../history/history.ts';
import { Scratch } from '../history/scratch.ts';
import { BUCKET, contextFor, metricsOf, setStage, total, timeEndsAt, type Remaining } from './stage.ts';

const scratch = new Scratch();
process.env['TMPDIR'] = scratch.path;
const stage = await setStage({ SEAWALL_ROOT: 'dbs/' });
const { handler } = await import('../../functions/restore/handler.ts');
const { restoreDatabase } = await import('../../functions/restore/restore-database.ts');
const { server, root } = stage;
let history: History;
let big: History;

before(async () => {
  const options = { codec: 'lz4', checkpoints: 0.2, cut: { notRestorable: 0 }, control: true } as const;
  history = await buildHistory(scoped(root, 'app'), { ...options, seed: 9401, commits: 15, pageSize: 1024 });
  const workload = { largest: 2_000_000, most: 30_000_000 };
  big = await buildHistory(scoped(root, 'nested/big'), {
    ...options,
    seed: 9402,
    commits: 70,
    pageSize: 4096,
    workload,
  });
});
after(async () => {
  scratch[Symbol.dispose]();
  await stage[Symbol.asyncDispose]();
});

afterEach(async () => {
  server.faults.clear();
  assert.deepEqual(server.uploads(BUCKET), [], 'no upload is left behind');
  assert.deepEqual(server.overwrites(), []);
  assert.deepEqual(readdirSync(scratch.path), [], 'nothing is left on disk');
  const bucket = s3Store({ bucket: BUCKET, endpoint: server.endpoint });
  await bucket.delete(restores());
  await bucket.close();
});

function restores(): string[] {
  const keys = server.objects(BUCKET).map(({ key }) => key);
  return keys.filter((key) => key.startsWith('restores/'));
}

async function restored(request: Record<string, unknown>): Promise<RestoreAnswer> {
  const answer = await handler(request, contextFor('restore'));
  assert.equal(answer.dryRun, false);
  return answer;
}

async function refused(request: unknown, name: string | RegExp, message: RegExp, remaining?: Remaining): Promise<void> {
  const began = server.objects(BUCKET).length;
  await assert.rejects(handler(request, contextFor('restore', remaining)), { name, message });
  assert.equal(server.objects(BUCKET).length, began, 'nothing was made');
}

test('the latest state: in the bucket bit for bit, and the answer says what it is and where', async () => {
  const { result, metrics } = await metricsOf(() => restored({ database: 'app' }));
  const state = latestState(history);
  const { url, seconds, key, ...facts } = result;
  assert.deepEqual(facts, {
    dryRun: false,
    database: 'app',
    position: positionOf(state),
    time: formatTime(state.time),
    pages: state.pages,
    pageSize: 1024,
    bytes: state.pages * 1024,
    checksum: formatChecksum(state.checksum),
    proof: 'recorded',
    bucket: BUCKET,
    verification: 'checksum',
    warnings: [],
  });
  assert.match(key, /^restores\/app\/[0-9a-f]{16}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{16}\.db$/);
  assert.equal(hashOf(server.peek(BUCKET, key)), state.hash);
  assert.ok(seconds >= 0);
  assert.match(url, /X-Amz-Expires=3600/);
  const fetched = await fetch(url);
  assert.equal(hashOf(Buffer.from(await fetched.arrayBuffer())), state.hash);
  assert.equal(total(metrics, 'Restores'), 1);
});

test('a moment, a position, a target of one’s own, and a restore of many parts', async () => {
  const state = history.states[7]!;
  const byTime = await restored({ database: 'app', at: formatTime(state.time), target: 'restores/incident 7/ä.db' });
  assert.equal(byTime.key, 'restores/incident 7/ä.db');
  assert.equal(hashOf(server.peek(BUCKET, byTime.key)), stateAt(history, state.time)!.hash);
  const byPosition = await restored({ database: 'app', at: positionOf(state) });
  assert.equal(byPosition.position, positionOf(state));
  assert.equal(hashOf(server.peek(BUCKET, byPosition.key)), state.hash);
  const many = await restored({ database: 'nested/big' });
  assert.ok(many.bytes > 2 * (5 << 20), `${String(many.bytes)} bytes are several parts`);
  assert.equal(hashOf(server.peek(BUCKET, many.key)), latestState(big).hash);
});

test('a dry run answers the plan and makes nothing', async () => {
  const state = history.states[9]!;
  const request = { database: 'app', at: positionOf(state), dryRun: true };
  const plan = (await handler(request, contextFor('restore'))) as RestorePlanAnswer;
  assert.equal(plan.dryRun, true);
  const { position, pages, pageSize, bytes, proof } = plan;
  assert.deepEqual([position, pages, pageSize, bytes, proof], [positionOf(state), state.pages, 1024, state.pages * 1024, 'recorded']); // prettier-ignore
  assert.match(plan.snapshot, /^generations\/[0-9a-f]{16}\/snapshots\/[0-9a-f]{8}\.snapshot\.lz4$/);
  assert.ok(plan.segments > 0 && plan.reads > 0);
  assert.deepEqual(restores(), []);
});

test('integrity: checked by SQLite before it is visible, where the disk has room', async () => {
  const answer = await restored({ database: 'app', verify: 'integrity' });
  assert.equal(answer.verification, 'integrity');
  assert.equal(hashOf(server.peek(BUCKET, answer.key)), latestState(history).hash);
});

describe('bad input is named, and nothing is made', () => {
  const cases: readonly (readonly [request: unknown, code: string, message: RegExp])[] = [
    [undefined, 'REQUEST', /an object such as/],
    ['app', 'REQUEST', /not "app"/],
    [{ database: 'app', databse: 1, When: 2 }, 'UNKNOWN_FIELD', /"databse", "When"; allowed are database, at/],
    [{}, 'DATABASE', /not nothing/],
    [{ database: 7 }, 'DATABASE', /not 7/],
    [{ database: '../other' }, 'DATABASE', /a component is "\.\."/],
    [{ database: 'a/../../b' }, 'DATABASE', /a component is "\.\."/],
    [{ database: '/app' }, 'DATABASE', /a component is empty/],
    [{ database: 'app/' }, 'DATABASE', /a component is empty/],
    [{ database: 'app', at: 'yesterday' }, 'AT', /not a point to restore: "yesterday"\. Give latest, a time such as/],
    [{ database: 'app', at: '2026-03-01T12:00:00' }, 'AT', /with Z or an offset/],
    [{ database: 'app', at: 1234 }, 'AT', /at must be a text, not 1234/],
    [{ database: 'app', at: '2199-01-01T00:00:00Z' }, 'FUTURE_TIME', /in the future: it is 20/],
    [{ database: 'app', target: 'dbs/app/generations/x' }, 'TARGET', /begins with "restores\/"/],
    [{ database: 'app', target: 'restores/../dbs/app' }, 'TARGET', /a component is "\.\."/],
    [{ database: 'app', target: 5 }, 'TARGET', /not 5/],
    [{ database: 'app', verify: 'deep' }, 'VERIFY', /"checksum" or "integrity", not "deep"/],
    [{ database: 'app', dryRun: 'yes' }, 'DRY_RUN', /true or false, not "yes"/],
  ];
  for (const [request, code, message] of cases) {
    test(`${JSON.stringify(request)}: ${code}`, () => refused(request, `Seawall.input.${code}`, message));
  }
});

describe('what cannot be restored fails by its kind and code', () => {
  test('an unknown database', () =>
    refused({ database: 'nobody' }, 'Seawall.missing.REPLICA_EMPTY', /no replica at s3:\/\/b\/dbs\/nobody/));
  test('a moment before the first, with the nearest', () =>
    refused(
      { database: 'app', at: '2020-01-01T00:00:00Z' },
      'Seawall.point.POINT_BEFORE_FIRST',
      /Nearest after: 2026/,
    ));
  test('a position that is no commit', () => {
    const { generation, index, offset } = history.states[7]!;
    const at = positionOf({ ...history.states[7]!, generation, index, offset: offset + 1 });
    return refused({ database: 'app', at }, /^Seawall\.point\./, /Nearest before/);
  });
  test('no permission to read', () => {
    server.faults.add({ kind: 'status', status: 403, code: 'AccessDenied', match: ({ op }) => op === 'GetObject' });
    return refused({ database: 'app' }, /^Seawall\.denied\./, /./);
  });
  test('no permission to write', () => {
    server.faults.add({ kind: 'status', status: 403, code: 'AccessDenied', match: ({ method }) => method !== 'GET' && method !== 'HEAD' }); // prettier-ignore
    return refused({ database: 'nested/big' }, /^Seawall\.denied\./, /./);
  });
  test('a damaged snapshot', async () => {
    const victim = server.objects(BUCKET).find(({ key }) => key.startsWith('dbs/nested/big/') && key.includes('/snapshots/'))!; // prettier-ignore
    const sound = server.peek(BUCKET, victim.key);
    const bytes = Buffer.from(sound);
    bytes[Math.floor(bytes.length * 0.8)]! ^= 1;
    server.poke(BUCKET, victim.key, bytes);
    await refused({ database: 'nested/big' }, /^Seawall\.corrupt\./, /dbs\/nested\/big|generations/);
    server.poke(BUCKET, victim.key, sound);
  });
  test('a target that is there stays as it is', async () => {
    const target = 'restores/taken.db';
    await restored({ database: 'app', at: positionOf(history.states[3]!), target });
    await refused({ database: 'app', target }, 'Seawall.exists.TARGET_EXISTS', /restores\/taken\.db exists/);
    assert.equal(hashOf(server.peek(BUCKET, target)), history.states[3]!.hash);
  });
  test('time that ran out', async () => {
    const remaining = timeEndsAt(server, ({ op }) => op === 'UploadPart');
    await refused({ database: 'nested/big' }, 'Seawall.time.OUT_OF_TIME', /time is up/, remaining);
  });
});

test('two at once for one target: one is made, the other told so', async () => {
  const target = 'restores/race.db';
  const states = [history.states[3]!, history.states[11]!];
  const outcomes = await Promise.allSettled(states.map((state) => restored({ database: 'app', at: positionOf(state), target }))); // prettier-ignore
  const won = outcomes.findIndex(({ status }) => status === 'fulfilled');
  const lost = outcomes.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
  assert.equal((lost.reason as Error).name, 'Seawall.exists.TARGET_EXISTS');
  assert.equal(hashOf(server.peek(BUCKET, target)), states[won]!.hash);
});

test('failures carry kind, code and facts as JSON, too', async () => {
  const failure = await handler({ database: 'app', at: '2020-01-01T00:00:00Z' }, contextFor('restore')).catch((error: unknown) => error); // prettier-ignore
  const { kind, code, facts } = JSON.parse(JSON.stringify(failure)) as Record<string, unknown>;
  assert.deepEqual([kind, code], ['point', 'POINT_BEFORE_FIRST']);
  assert.match((facts as { after: string }).after, /^2026-/);
});

test('progress is told each tenth; without room, integrity is refused with what to do', async () => {
  const lines: (readonly [string, Record<string, unknown>])[] = [];
  const say = (message: string, facts: Record<string, unknown>): void => void lines.push([message, facts]);
  const log: Log = { debug: say, info: say, warn: say, error: say };
  const target = s3Store({ bucket: BUCKET, endpoint: server.endpoint });
  const deps = {
    root,
    target,
    bucket: BUCKET,
    restores: 'restores/',
    presign: (key: string) => Promise.resolve(`https://example/${key}`),
    memory: 32 << 20,
    now: Date.now,
    unique: () => 'feedfacefeedface',
    remaining: () => 900_000,
    scratch: { folder: scratch.path, room: () => Promise.resolve(1 << 20) },
    log,
    metrics: { count: () => undefined, age: () => undefined },
  };
  await restoreDatabase({ database: 'nested/big' }, deps);
  const tenths = lines.flatMap(([, { percent }]) => (percent === undefined ? [] : [percent]));
  assert.deepEqual(
    tenths,
    tenths.toSorted((a, b) => (a as number) - (b as number)),
  );
  assert.ok(tenths.length >= 8 && tenths.length <= 10 && tenths.at(-1) === 100, JSON.stringify(tenths));
  await assert.rejects(restoreDatabase({ database: 'nested/big', verify: 'integrity' }, deps), {
    name: 'Seawall.local.NO_ROOM',
    message: /needs 2\d\.\d MiB|needs \d+\.\d+ MiB in .* and 1\.00 MiB are free\. Give the function more/,
  });
  await target.close();
});
