/**
 * The policies at work: a shipper and each function do all they do with the rights that the template gives them, in an
 * S3 server that holds them to those; and no statement is there that nothing needs.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import Database from 'better-sqlite3';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { compactDatabase } from '../../functions/compact/compact-databases.ts';
import { drillDatabase } from '../../functions/drill/drill-database.ts';
import { sweepDatabase } from '../../functions/retain/retain-database.ts';
import { isKind } from '../../replica/terms/errors.ts';
import { DRILLS, GENERATIONS, REPORTS } from '../../replica/terms/layout.ts';
import { s3Store } from '../../replica/store/s3/store.ts';
import { scoped } from '../../replica/store/scoped.ts';
import type { Store } from '../../replica/store/store.ts';
import { buildHistory } from '../history/history.ts';
import { startS3Server, type S3Server } from '../s3-server/index.ts';
import { Scene } from '../shipper/scene.ts';
import { rolesOf } from './role-access.ts';
import { templateOf } from './synthesis.ts';

const COMPACT = 'BackupCompactionCompactRole';
const RETAIN = 'BackupSweepRetainRole';
const DRILL = 'BackupDrillsDrillRole';
const NOTHING_KEPT = { window: 0, daily: 0, weekly: 0, monthly: 0, grace: 0 };
const DAY = 86_400_000;

const template = templateOf({ root: 'dbs/' }, (stack, backup) => {
  backup.grantShip(new Role(stack, 'Shipper', { assumedBy: new ServicePrincipal('ecs-tasks.amazonaws.com') }), 'app');
});
const roles = rolesOf(template, ['Shipper', COMPACT, RETAIN, DRILL]);
const silent = (): void => undefined;
const shared = {
  memory: 32 << 20,
  now: Date.now,
  log: { debug: silent, info: silent, warn: silent, error: silent },
  metrics: { count: silent, age: silent },
};
const { signal } = new AbortController();
const stores: Store[] = [];
let server: S3Server;

before(async () => {
  server = await startS3Server({ auth: roles.access });
});
after(async () => {
  for (const store of stores) await store.close();
  await server.close();
});

/** The bucket below the root, with the rights of a role; `root` may do everything. */
function as(role: string): Store {
  const credentials = { accessKeyId: role, secretAccessKey: 'test' };
  const store = s3Store({ bucket: 'b', prefix: 'dbs/', endpoint: server.endpoint, credentials });
  stores.push(store);
  return store;
}

/** Asks for what the role may not do; what it asked is no complaint then. */
async function isDenied(role: string, ask: (store: Store) => Promise<unknown>): Promise<void> {
  // Of a deletion the answer says so key by key, and is no error.
  await ask(as(role)).catch((error: unknown) => {
    if (!isKind(error, 'denied')) throw error;
  });
  const refused = roles.refused.splice(0);
  assert.ok(refused.length > 0, 'it was allowed');
  for (const line of refused) assert.match(line, new RegExp(`^${role} s3:(Put|Delete)Object `));
}

const UPLOADED = '*/generations/0123456789abcdef/snapshots/0000ffff.snapshot.lz4';

/** A snapshot of more than one part, and the end of one who is stopped in the middle. */
async function abandon(store: Store, key: string): Promise<void> {
  const upload = await store.upload(key);
  await upload.put(1, 0, Buffer.alloc(5 << 20));
  await upload.abort();
}

async function keys(prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of as('root').list(prefix)) found.push(key);
  return found;
}

function doesExactly(role: string): void {
  assert.deepEqual(roles.refused, []);
  assert.deepEqual(roles.unused(role), []);
}

test('a shipper: a snapshot of many parts, WAL, claim, head, a second start; it can replace and delete nothing', async () => {
  process.env['AWS_ACCESS_KEY_ID'] = 'Shipper';
  process.env['AWS_SECRET_ACCESS_KEY'] = 'test';
  await using scene = new Scene();
  scene.bucket = `s3://b/dbs/app?region=us-east-1&endpoint=${encodeURIComponent(server.endpoint)}`;
  const db = new Database(scene.database);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE t (b)');
  for (let i = 0; i < 12; i++) db.prepare('INSERT INTO t VALUES (?)').run(randomBytes(1 << 20));
  for (let run = 0; run < 2; run++) {
    const shipper = await scene.ship({ heartbeat: '50ms' });
    db.prepare('INSERT INTO t VALUES (?)').run(randomBytes(5000));
    await shipper.sync();
    await shipper.stop();
  }
  db.close();
  const [segment] = await keys(`app/${GENERATIONS}`);
  await abandon(as('Shipper'), UPLOADED.replace('*', 'app'));
  doesExactly('Shipper');
  await isDenied('Shipper', (store) => store.put(segment!, Buffer.from('x')));
  await isDenied('Shipper', (store) => store.delete([segment!]));
  await isDenied('Shipper', (store) => store.put('app/seawall/claim', Buffer.from('x')));
  await isDenied('Shipper', (store) => store.put('other/seawall/head', Buffer.from('x')));
});

const HISTORY = { seed: 5150, commits: 12, pageSize: 1024, codec: 'lz4', checkpoints: 0.4, control: true } as const;

test('compact: reads, and makes snapshots, small ones whole and large ones in parts', async () => {
  await buildHistory(scoped(as('root'), 'two'), HISTORY);
  const root = as(COMPACT);
  const compact = (): Promise<void> => compactDatabase('two', signal, { ...shared, root, policy: { ratio: 0, maxAge: 0 } }); // prettier-ignore
  await Promise.all([compact(), compact()]);
  await abandon(root, UPLOADED.replace('*', 'two'));
  doesExactly(COMPACT);
  await isDenied(COMPACT, async (store) => store.delete(await keys('two/')));
});

test('retain: compacts, deletes, reports, clears away old uploads; it deletes no claim, and no evidence', async () => {
  await buildHistory(scoped(as('root'), 'swept'), { ...HISTORY, generations: 2 });
  await as('root').upload(UPLOADED.replace('*', 'swept'));
  const deps = { ...shared, root: as(RETAIN), retention: NOTHING_KEPT, policy: { ratio: 0, maxAge: 0 } };
  for (let n = 10; n < 40; n++) await as('root').put(`swept/${REPORTS}retain-20${String(n)}.json`, Buffer.from('{}'));
  await sweepDatabase('swept', signal, deps);
  await sweepDatabase('swept', signal, { ...deps, now: () => Date.now() + 30 * DAY });
  assert.deepEqual(server.uploads('b'), []);
  await abandon(deps.root, UPLOADED.replace('*', 'swept'));
  doesExactly(RETAIN);
  await isDenied(RETAIN, (store) => store.delete(['swept/seawall/claim']));
  await isDenied(RETAIN, (store) => store.delete([`swept/${DRILLS}x.json`]));
});

test('drill: reads, keeps its evidence, deletes the oldest; nothing else can it write or delete', async () => {
  await buildHistory(scoped(as('root'), 'drilled'), HISTORY);
  const integrity = { folder: '/nowhere', room: () => Promise.resolve(0), check: () => Promise.resolve([]) };
  const deps = { ...shared, root: as(DRILL), random: () => 0.5, elapsed: () => 0, integrity };
  for (let n = 10; n < 100; n++) await as('root').put(`drilled/${DRILLS}19${String(n)}.json`, Buffer.from('{}'));
  await drillDatabase('drilled', signal, deps);
  assert.equal((await keys(`drilled/${DRILLS}`)).length, 90);
  doesExactly(DRILL);
  const [first] = await keys(`drilled/${GENERATIONS}`);
  for (const key of [first!, 'drilled/seawall/claim', 'drilled/seawall/floors', 'drilled/seawall/reports/r.json']) {
    await isDenied(DRILL, (store) => store.delete([key]));
    await isDenied(DRILL, (store) => store.put(key, Buffer.from('x')));
  }
  await isDenied(DRILL, (store) => store.upload(first!));
});
