/** restore, list, status, verify, compact and retain, as processes over real replicas. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import Database from 'better-sqlite3';
import { proofWords } from '../../cli/report/restored.ts';
import { codec } from '../../replica/format/codec.ts';
import { formatChecksum } from '../../replica/format/page-hashes.ts';
import { writeSnapshot } from '../../replica/objects/snapshot-writer.ts';
import { filesStore } from '../../replica/store/files/store.ts';
import { formatTime } from '../../replica/terms/target.ts';
import { at, latestState } from '../history/expect.ts';
import { blocksOf, buildHistory, hashOf, HISTORY_START, positionOf, type History } from '../history/history.ts';
import { LTX_START, LTX_STEP, ltxReplica } from '../history/ltx-replica.ts';
import { Scratch } from '../history/scratch.ts';
import { errorOf, seawall, seawallJson, type Json } from './seawall.ts';

const home = new Scratch();
const bucket = join(home.path, 'bucket');
let history: History;

before(async () => {
  const options = { seed: 311, commits: 40, generations: 2, codec: 'lz4', control: true, snapshots: 0.5 } as const;
  history = await buildHistory(filesStore(bucket), { ...options, cut: { notRestorable: 0 } });
});
after(() => {
  home[Symbol.dispose]();
});

function hashOfFile(path: string): string {
  return hashOf(readFileSync(path));
}

/** A copy of the replica that a test may spoil. */
function copied(scratch: Scratch): string {
  const copy = join(scratch.path, 'copy');
  cpSync(bucket, copy, { recursive: true });
  return copy;
}

/** Paths of objects whose key matches, in order. */
function objects(folder: string, pattern: RegExp): string[] {
  const keys = (readdirSync(folder, { recursive: true }) as string[]).filter((key) => pattern.test(key));
  return keys.sort();
}

function flip(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset < 0 ? bytes.length + offset : offset]! ^= 0x10;
  writeFileSync(path, bytes);
}

test('restore brings back the latest state, and says what was proven', async () => {
  using scratch = new Scratch();
  const state = latestState(history);
  const path = scratch.file();
  const document = await seawallJson(['restore', bucket, '-o', path], 0);
  assert.equal(hashOfFile(path), state.hash);
  const { frames, seconds, ...rest } = document;
  assert.deepEqual(rest, {
    path,
    target: 'latest',
    position: positionOf(state),
    time: formatTime(state.time),
    pages: state.pages,
    pageSize: history.pageSize,
    bytes: state.pages * history.pageSize,
    checksum: formatChecksum(state.checksum),
    proof: 'recorded',
    warnings: [],
  });
  assert.equal(typeof frames, 'number');
  assert.equal(typeof seconds, 'number');
});

test('restore --at a position and a time gives the state of then; relative paths and file URLs do', async () => {
  using scratch = new Scratch();
  const state = history.generations[0]!.states.findLast((each) => each.marked && each.restorable)!;
  const [byPosition, byTime] = await Promise.all([
    seawall(['restore', 'bucket', '--output', scratch.file(), '--at', positionOf(state)], { cwd: home.path }),
    seawallJson(['restore', `file://${bucket}`, '-o', scratch.file(), '--at', formatTime(state.time)], 0),
  ]);
  assert.equal(byPosition.code, 0, byPosition.stderr);
  assert.equal(byPosition.stderr, '', 'no progress bar where there is no terminal');
  assert.match(byPosition.stdout, new RegExp(`position +${positionOf(state)}`));
  assert.match(byPosition.stdout, new RegExp(`checksum +${formatChecksum(state.checksum)}`));
  assert.match(byPosition.stdout, /proof +the checksum equals the one taken from the live database/);
  assert.equal(byTime['position'], positionOf(state));
  for (const name of ['restored-1.db', 'restored-2.db']) {
    assert.equal(hashOfFile(join(scratch.path, name)), state.hash);
  }
});

test('a proof by the frames alone is said in words', () => {
  assert.match(proofWords({ proof: 'frames', frames: 3 }), /only that the checksums in the WAL’s own frames hold/);
  assert.match(proofWords({ proof: 'frames', frames: 0 }), /only that the snapshot decoded/);
});

test('an existing file is left alone (1), and replaced with --force', async () => {
  using scratch = new Scratch();
  const path = scratch.file();
  writeFileSync(path, 'precious');
  const refused = await seawall(['restore', bucket, '-o', path]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /exists[^]*→ --force replaces it/);
  assert.equal(readFileSync(path, 'utf8'), 'precious');
  assert.equal((await seawall(['restore', bucket, '-o', path, '--force'])).code, 0);
  assert.equal(hashOfFile(path), latestState(history).hash);
});

test('a point that cannot be restored exits 3 and names the nearest; nothing is written', async () => {
  using scratch = new Scratch();
  const path = scratch.file();
  const first = history.states[0]!;
  const early = await seawall(['restore', bucket, '-o', path, '--at', formatTime(HISTORY_START - 1000)]);
  assert.equal(early.code, 3);
  assert.ok(early.stderr.includes(`Nearest after: ${formatTime(first.time)}.`), early.stderr);
  assert.ok(early.stderr.includes(`→ seawall restore ${bucket} -o ${path} --at ${formatTime(first.time)}`));
  const within = history.states.find(({ offset }) => offset > 0)!;
  const place = positionOf({ ...within, offset: within.offset - 1 });
  const error = errorOf(await seawallJson(['restore', bucket, '-o', path, '--at', place], 3));
  assert.deepEqual([error['kind'], error['after']], ['point', positionOf(within)]);
  const mistyped = `${new Date().getUTCFullYear() + 1}-01-01T00:00:00Z`;
  const future = await seawall(['restore', bucket, '-o', path, '--at', mistyped]);
  assert.equal(future.code, 3);
  assert.match(future.stderr, /is in the future: it is .* now\. Nearest before: latest\./);
  assert.ok(future.stderr.includes(`→ seawall restore ${bucket} -o ${path} --at latest`), future.stderr);
  assert.deepEqual(readdirSync(scratch.path), []);
});

test('where nothing is, every command exits 3 and says where it looked', async () => {
  using scratch = new Scratch();
  const nowhere = join(scratch.path, 'nowhere');
  const errors = await Promise.all([
    seawallJson(['restore', nowhere, '-o', scratch.file()], 3),
    seawallJson(['list', nowhere], 3),
    seawallJson(['verify', nowhere], 3),
  ]);
  for (const error of errors.map(errorOf)) {
    assert.deepEqual([error['kind'], error['code']], ['missing', 'REPLICA_EMPTY']);
    assert.ok(String(error['message']).includes(`file://${nowhere}`));
  }
  assert.deepEqual(readdirSync(scratch.path), []);
});

test('a flipped byte exits 4 and names the object; nothing is left at the target', async () => {
  using scratch = new Scratch();
  const copy = copied(scratch);
  const [current] = objects(join(copy, 'generations'), new RegExp(`^${history.generations[1]!.id}/snapshots/`)).slice(
    -1,
  );
  const key = `generations/${current}`;
  flip(join(copy, key), 200);
  const folder = join(scratch.path, 'out');
  const target = join(folder, 'x.db');
  const missingFolder = await seawall(['restore', copy, '-o', target]);
  assert.equal(missingFolder.code, 1);
  assert.match(missingFolder.stderr, /the folder .*out does not exist/);
  using out = new Scratch();
  const [restored, verified, asText] = await Promise.all([
    seawallJson(['restore', copy, '-o', join(out.path, 'x.db')], 4),
    seawallJson(['verify', copy], 4),
    seawall(['verify', copy]),
  ]);
  const error = errorOf(restored);
  assert.deepEqual([error['kind'], error['key']], ['corrupt', key]);
  assert.ok(String(error['message']).includes(key));
  assert.deepEqual(readdirSync(out.path), []);
  assert.equal(verified['ok'], false);
  assert.ok((verified['problems'] as Json[]).some((problem) => problem['key'] === key && problem['code'] !== ''));
  assert.equal(asText.code, 4);
  assert.ok(asText.stdout.includes(key));
});

test('list shows generations, snapshots, WAL and restorable ranges; damage is named and exits 4', async () => {
  const document = await seawallJson(['list', bucket], 0);
  const generations = document['generations'] as Json[];
  assert.deepEqual(
    generations.map((each) => [each['generation'], each['current']]),
    history.generations.map(({ id }, i) => [id, i === 1]),
  );
  for (const [i, listed] of generations.entries()) {
    const { states } = history.generations[i]!;
    const last = states.findLast((state) => state.marked && state.restorable)!;
    assert.deepEqual(listed['restorable'], [
      {
        first: { position: positionOf(states[0]!), time: formatTime(states[0]!.time) },
        last: { position: positionOf(last), time: formatTime(last.time) },
      },
    ]);
    const [snapshot] = listed['snapshots'] as Json[];
    assert.deepEqual([snapshot!['position'], snapshot!['pages']], [positionOf(states[0]!), states[0]!.pages]);
    const sizes = [...(listed['snapshots'] as Json[]), ...(listed['wal'] as Json[])].map(
      ({ bytes }) => bytes as number,
    );
    assert.equal(
      listed['bytes'],
      sizes.reduce((a, b) => a + b),
    );
  }
  using scratch = new Scratch();
  const copy = copied(scratch);
  const [key] = objects(copy, /snapshots\/00000000/);
  flip(join(copy, key!), 20);
  const damaged = await seawall(['list', copy]);
  assert.equal(damaged.code, 4);
  assert.match(damaged.stdout, new RegExp(`DAMAGED +${key}`));
});

test('status of what Litestream 0.5 writes: its newest transaction, and how old that is', async () => {
  using scratch = new Scratch();
  const folder = join(scratch.path, 'ltx');
  await ltxReplica(filesStore(folder), { seed: 312, transactions: 5, snapshots: [3] });
  const document = await seawallJson(['status', folder], 0);
  const time = LTX_START + 5 * LTX_STEP;
  assert.deepEqual([document['position'], document['time']], ['txid:0000000000000005', formatTime(time)]);
  assert.ok(Math.abs(Number(document['ageSeconds']) - (Date.now() - time) / 1000) < 30);
  assert.equal((document['restore'] as Json)['objects'], 3);
  const { code, stdout } = await seawall(['status', folder]);
  assert.equal(code, 0);
  assert.match(stdout, /written by +Litestream 0\.5\n +position +txid:0{15}5\n/);
});

test('status tells position, age, claim and what a restore reads', async () => {
  const state = latestState(history);
  const document = await seawallJson(['status', bucket], 0);
  assert.equal(document['position'], positionOf(state));
  assert.equal(document['time'], formatTime(state.time));
  assert.equal(document['seen'], formatTime(state.time + 1000));
  const age = (Date.now() - state.time - 1000) / 1000;
  assert.ok(Math.abs((document['ageSeconds'] as number) - age) < 60);
  assert.equal(document['checksum'], formatChecksum(state.checksum));
  assert.deepEqual((document['claim'] as Json)['holder'], 'test:1');
  assert.ok(((document['restore'] as Json)['bytes'] as number) > 0);
});

test('verify --deep runs SQLite’s integrity check on what it restores', async () => {
  using scratch = new Scratch();
  assert.equal((await seawallJson(['verify', bucket, '--deep'], 0))['deep'], true);
  // Sound objects that hold a database whose b-tree is not: only SQLite can see that.
  const path = scratch.file();
  const db = new Database(path);
  db.exec(`CREATE TABLE t (a); CREATE INDEX i ON t (a);
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2000) INSERT INTO t SELECT x FROM n;`);
  db.close();
  const image = readFileSync(path);
  image.copy(image, 4096 * 2, 4096 * 4, 4096 * 5);
  const broken = join(scratch.path, 'broken');
  const pages = image.length / 4096;
  const facts = { generation: '00000000000000aa', index: 0, pageSize: 4096, pages, time: 5, reason: 'test' };
  await writeSnapshot(filesStore(broken), { ...facts, checksum: undefined }, codec('lz4'), blocksOf(image));
  assert.equal((await seawallJson(['verify', broken], 0))['ok'], true);
  const document = await seawallJson(['verify', broken, '--deep'], 4);
  const [problem] = document['problems'] as Json[];
  assert.equal(problem!['code'], 'DATABASE_INTEGRITY');
});

test('compact makes a snapshot; again there is nothing to do; the restored state is the same', async () => {
  using scratch = new Scratch();
  const copy = join(scratch.path, 'copy');
  const options = { seed: 12, commits: 30, codec: 'lz4', checkpoints: 0.2, cut: { notRestorable: 0 } } as const;
  const own = await buildHistory(filesStore(copy), options);
  const skipped = await seawallJson(['compact', copy, '--ratio', '1000', '--max-age', '900000d'], 0);
  assert.deepEqual([skipped['outcome'], skipped['why']], ['skipped', 'below-policy']);
  const made = await seawallJson(['compact', copy, '--force', '--codec', 'zstd'], 0);
  assert.equal(made['outcome'], 'compacted');
  assert.ok(existsSync(join(copy, String(made['key']))));
  assert.match(String(made['key']), /snapshots\/[0-9a-f]{8}\.snapshot\.zst$/);
  assert.match(String(made['checksum']), /^[0-9a-f]{16}$/);
  const again = await seawall(['compact', copy, '--force']);
  assert.deepEqual([again.code, again.stderr], [0, '']);
  assert.match(again.stdout, /^nothing compacted: /);
  const path = scratch.file();
  assert.equal((await seawall(['restore', copy, '-o', path])).code, 0);
  assert.equal(hashOfFile(path), latestState(own).hash);
});

test('retain: a dry run changes nothing and names what would go; then it goes, and the rest restores', async () => {
  using scratch = new Scratch();
  const copy = copied(scratch);
  const before = objects(copy, /\.lz4$/);
  const flags = ['--window', '0s', '--daily', '0', '--weekly', '0', '--monthly', '0', '--grace', '0s'];
  const dry = await seawallJson(['retain', copy, ...flags, '--dry-run'], 0);
  const doomed = (dry['delete'] as Json[]).map(({ key }) => key);
  assert.ok(doomed.length > 0);
  assert.deepEqual(objects(copy, /\.lz4$/), before);
  const done = await seawallJson(['retain', copy, ...flags], 0);
  assert.deepEqual(done['failures'], []);
  assert.deepEqual(
    objects(copy, /\.lz4$/),
    before.filter((key) => !doomed.includes(key)),
  );
  const path = scratch.file();
  assert.equal((await seawall(['restore', copy, '-o', path])).code, 0);
  assert.equal(hashOfFile(path), latestState(history).hash);
  const gone = await seawallJson(['restore', copy, '-o', scratch.file(), '--at', positionOf(history.states[1]!)], 3);
  assert.equal(errorOf(gone)['kind'], 'point');
  const wrong = await seawallJson(['retain', copy, '--daily', 'all'], 2);
  assert.match(String(errorOf(wrong)['message']), /--daily must be a number/);
  assert.equal(at(history.states[1]!).kind, 'position');
});
