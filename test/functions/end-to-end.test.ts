/**
 * All parts joined as AWS would join them: an app with its shipper, the bucket, its notifications, the queues, and the
 * functions. Every event is delivered twice, late and out of order; functions are killed at random operations, run out
 * of time, and meet a server that loses answers. What is left in the end restores to the very database.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import type { SQSBatchResponse } from 'aws-lambda';
import type { Log } from '../../functions/log.ts';
import { compact } from '../../replica/compaction/compact.ts';
import { s3Store } from '../../replica/store/s3/store.ts';
import { scoped } from '../../replica/store/scoped.ts';
import { loadTimeline } from '../../replica/catalogue/timeline.ts';
import { verify } from '../../replica/verification/verify.ts';
import { Scratch } from '../history/scratch.ts';
import { Seeded, seeds } from '../history/seeded.ts';
import { Scene } from '../shipper/scene.ts';
import { dyingStore } from './dying-store.ts';
import { BUCKET, contextFor, metricsOf, setStage, sqsEvent, total } from './stage.ts';

const [SEED = 1] = seeds(1, 1 + Math.floor(Math.random() * 1e6));
const RERUN = `rerun: SEED=${String(SEED)} node --test test/functions/end-to-end.test.ts`;
const NOTHING_KEPT = { window: 0, daily: 0, weekly: 0, monthly: 0, grace: 0 };
const DAY = 86_400_000;
const silent = (): void => undefined;
const LOG: Log = { debug: silent, info: silent, warn: silent, error: silent };
const METRICS = { count: silent, age: silent };

type Handler = (event: never, context: ReturnType<typeof contextFor>) => Promise<unknown>;

/** A queue as SQS is one: at least once, in no order, and what failed comes again. */
class Deliveries {
  readonly #random: Seeded;
  #waiting: { readonly body: string; readonly due: number }[] = [];

  constructor(random: Seeded) {
    this.#random = random;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  send(body: string, times = 2): void {
    for (let i = 0; i < times; i++) this.#waiting.push({ body, due: performance.now() + this.#random.int(200) });
  }

  receive(): string[] {
    const due = this.#waiting.filter((message) => message.due <= performance.now());
    const batch: typeof due = [];
    while (batch.length < 10 && due.length > 0) batch.push(...due.splice(this.#random.int(due.length), 1));
    this.#waiting = this.#waiting.filter((message) => !batch.includes(message));
    return batch.map(({ body }) => body);
  }
}

test(`shipped, compacted, swept, drilled, restored; killed anywhere, everything twice (${RERUN})`, async () => {
  const random = new Seeded(SEED);
  using scratch = new Scratch();
  process.env['TMPDIR'] = scratch.path;
  await using stage = await setStage({
    SEAWALL_ROOT: 'dbs/',
    SEAWALL_POLICY_RATIO: '0',
    SEAWALL_RETENTION: JSON.stringify(NOTHING_KEPT),
  });
  const { server, queues, root } = stage;
  const handlers = {
    compact: (await import('../../functions/compact/handler.ts')).handler as Handler,
    retain: (await import('../../functions/retain/handler.ts')).handler as Handler,
    drill: (await import('../../functions/drill/handler.ts')).handler as Handler,
    restore: (await import('../../functions/restore/handler.ts')).handler as Handler,
  };
  const { compactDatabases } = await import('../../functions/compact/compact-databases.ts');
  const { sweepDatabase } = await import('../../functions/retain/retain-database.ts');
  const { drillDatabase } = await import('../../functions/drill/drill-database.ts');
  const { restoreDatabase } = await import('../../functions/restore/restore-database.ts');
  const bucket = s3Store({ bucket: BUCKET, endpoint: server.endpoint });
  const shared = { memory: 32 << 20, now: Date.now, log: LOG, metrics: METRICS };
  const compaction = { policy: { ratio: 0, maxAge: 0 }, bucket: BUCKET, rootPrefix: 'dbs/', remaining: () => 900_000 };
  let kills = 0;

  const deliveries = new Deliveries(random);
  server.events.subscribe(BUCKET, { prefix: 'dbs/', suffix: '_00000000.wal.lz4' }, (notification) => {
    deliveries.send(JSON.stringify(notification));
  });

  /** One invocation of the compact function; returns what comes again. */
  async function invokeCompact(bodies: readonly string[]): Promise<string[]> {
    const event = sqsEvent(bodies);
    if (kills === 0 || random.chance(0.35)) {
      kills++;
      await compactDatabases(event.Records, { ...shared, ...compaction, root: dyingStore(root, random.int(60)) });
      return [...bodies]; // whatever it had done, nobody was told
    }
    const remaining = random.chance(0.3) ? 10_000 + random.int(250) : 900_000;
    const answer = (await handlers.compact(event as never, contextFor('compact', remaining))) as SQSBatchResponse;
    return answer.batchItemFailures.map(({ itemIdentifier }) => bodies[Number(itemIdentifier.slice(1))]!);
  }

  async function pump(isOver: () => boolean): Promise<void> {
    while (!isOver() || !deliveries.isEmpty) {
      const bodies = deliveries.receive();
      if (bodies.length === 0) await sleep(10);
      else for (const body of await invokeCompact(bodies)) deliveries.send(body, 1);
    }
  }

  /** The scheduler's word, then each message twice, until none is left. */
  async function run(name: 'retain' | 'drill', word: string): Promise<void> {
    await handlers[name]({ seawall: word } as never, contextFor(name));
    const sent = queues.messages(name === 'retain' ? 'sweep' : 'drill');
    assert.deepEqual(sent, ['{"database":"app"}']);
    const bodies = sent.splice(0);
    const answer = await handlers[name](sqsEvent([...bodies, ...bodies]) as never, contextFor(name));
    assert.deepEqual(answer, { batchItemFailures: [] }, RERUN);
  }

  await using scene = new Scene();
  scene.bucket = `s3://${BUCKET}/dbs/app?endpoint=${server.endpoint}&region=us-east-1`;
  const db = new Database(scene.database);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE t (n INTEGER PRIMARY KEY, b)');
  // Large enough that snapshots are uploads of several parts.
  for (let i = 0; i < 7; i++) db.prepare('INSERT INTO t (b) VALUES (?)').run(randomBytes(1 << 20));
  const shipper = await scene.ship({ checkpointAt: '64KiB', sealAt: '128KiB', heartbeat: '200ms', retryMax: '100ms' });
  server.faults.seed(SEED);
  const lost = server.faults.add({
    kind: 'lost-ack',
    probability: 0.02,
    match: ({ method }) => method === 'PUT' || method === 'POST',
  });
  server.faults.add({ kind: 'status', status: 503, code: 'SlowDown', probability: 0.02 });
  server.faults.add({ kind: 'reset', probability: 0.02 });

  let isWritten = false;
  async function write(): Promise<void> {
    const insert = db.prepare('INSERT INTO t (b) VALUES (?)');
    const update = db.prepare('UPDATE t SET b = ? WHERE n = ?');
    for (let i = 0; i < 110; i++) {
      if (i % 8 === 0) update.run(randomBytes(40_000), 8 + random.int(i + 1));
      else insert.run(randomBytes(random.int(12_000)));
      await sleep(12);
    }
    await shipper.sync();
    isWritten = true;
  }
  await Promise.all([write(), pump(() => isWritten)]);
  assert.ok(kills > 0, RERUN);
  const app = scoped(root, 'app');
  assert.ok((await loadTimeline(app)).current!.snapshots.length >= 2, `compacted while it was shipped; ${RERUN}`);

  // The sweep, the drill and the restore, killed some times before each is let through.
  const { signal } = new AbortController();
  const integrity = { folder: scratch.path, room: () => Promise.resolve(1e12), check: () => Promise.resolve([]) };
  for (let i = 0; i < 6; i++) {
    const dying = { ...shared, root: dyingStore(root, random.int(40)) };
    kills += 3;
    await sweepDatabase('app', signal, { ...dying, policy: compaction.policy, retention: NOTHING_KEPT }).catch(silent);
    const drilling = { ...dying, random: () => random.next(), elapsed: () => 0, integrity };
    await drillDatabase('app', signal, { ...drilling, root: dyingStore(root, random.int(40)) }).catch(silent);
    const operations = random.int(30);
    const restoring = restoreDatabase(
      { database: 'app', target: 'restores/killed.db' },
      {
        ...shared,
        root,
        target: dyingStore(bucket, operations % 5),
        bucket: BUCKET,
        restores: 'restores/',
        presign: () => Promise.resolve(''),
        unique: () => random.hex(16),
        remaining: () => 900_000,
        scratch: integrity,
      },
    );
    await assert.rejects(restoring, { name: 'Killed' });
    assert.equal(await bucket.head('restores/killed.db'), undefined, RERUN);
  }
  const swept = await metricsOf(() => run('retain', 'sweep'));
  assert.deepEqual([total(swept.metrics, 'DatabasesSwept'), total(swept.metrics, 'RetentionRefused')], [1, 0], RERUN);
  assert.equal((await loadTimeline(app)).current!.snapshots.length, 1, `only the newest is kept; ${RERUN}`);
  assert.deepEqual(await compact(app, { policy: 'always', now: Date.now() }), { kind: 'skipped', why: 'no-complete-index' }); // prettier-ignore
  const drilled = await metricsOf(() => run('drill', 'drill'));
  assert.deepEqual([total(drilled.metrics, 'DrillPassed'), total(drilled.metrics, 'DrillFailed')], [1, 0], RERUN);

  // More is written and shipped after the sweep, then the app ends.
  for (let i = 0; i < 20; i++) db.prepare('INSERT INTO t (b) VALUES (?)').run(randomBytes(3000));
  const { checksum } = await shipper.sync();
  const image = scene.image();
  await shipper.stop();
  db.close();
  server.faults.clear();
  await pump(() => true);
  for (const verification of ['checksum', 'integrity']) {
    const request = { database: 'app', verify: verification };
    const answer = (await handlers.restore(request as never, contextFor('restore'))) as Record<string, string>;
    assert.equal(answer['checksum'], checksum, RERUN);
    assert.ok(server.peek(BUCKET, answer['key']!).equals(image), `the restored file is the database; ${RERUN}`);
  }

  assert.deepEqual((await verify(app)).problems, [], RERUN);
  const replaced = new Set(server.overwrites().map(({ key }) => key.slice('dbs/app/'.length)));
  for (const key of replaced) assert.ok(['seawall/claim', 'seawall/head', 'seawall/floors'].includes(key), key);
  const made = server.history.filter((change) => !change.op.startsWith('Delete')).map(({ key }) => key);
  const backups = made.filter((key) => key.startsWith('dbs/app/generations/'));
  assert.equal(new Set(backups).size, backups.length, `each object of the backup was made once; ${RERUN}`);

  // Only kills and lost answers to "begin an upload" leave uploads behind. Those of backups go when a sweep finds them
  // a week old; those of restores, which no sweep looks at, by the bucket's lifecycle rule.
  const orphans = server.uploads(BUCKET);
  assert.ok(orphans.length <= kills + lost.hits, `${String(orphans.length)} uploads; ${RERUN}`);
  const later = {
    ...shared,
    root,
    policy: compaction.policy,
    retention: NOTHING_KEPT,
    now: () => Date.now() + 8 * DAY,
  };
  await sweepDatabase('app', signal, later);
  const remaining = server.uploads(BUCKET).filter(({ key }) => !key.startsWith('restores/'));
  assert.deepEqual(remaining, [], RERUN);
  await bucket.close();
});
