/** Restores touch nothing that is there, leave nothing behind when they fail, and keep mode and owner. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import Database from 'better-sqlite3';
import { SeawallError } from '../../../replica/terms/errors.ts';
import { codec } from '../../../replica/format/codec.ts';
import { parseKey } from '../../../replica/terms/layout.ts';
import { restore } from '../../../replica/restore/restore.ts';
import { writeSnapshot } from '../../../replica/objects/snapshot-writer.ts';
import { memoryStore } from '../../../replica/store/memory.ts';
import type { Store } from '../../../replica/store/store.ts';
import { expectKind, latestState } from '../../history/expect.ts';
import { blocksOf, buildHistory, hashOf, type History } from '../../history/history.ts';
import { openAndRead } from '../../history/live-database.ts';
import { Scratch } from '../../history/scratch.ts';

const store = memoryStore();
let history: History;
before(async () => {
  history = await buildHistory(store, { seed: 4100, commits: 20, codec: 'lz4', cut: { notRestorable: 0 } });
});

function hashOfFile(path: string): string {
  return hashOf(readFileSync(path));
}

test('an existing file, also an empty one or a dangling link, is never touched without force', async () => {
  using scratch = new Scratch();
  const path = join(scratch.path, 'app.db');
  for (const bytes of ['', 'precious']) {
    writeFileSync(path, bytes);
    const error = await expectKind(restore(store, path), 'exists');
    assert.deepEqual([error.code, error.facts.path], ['TARGET_EXISTS', path]);
    assert.equal(readFileSync(path, 'utf8'), bytes);
  }
  const dangling = join(scratch.path, 'dangling.db');
  symlinkSync(join(scratch.path, 'nowhere'), dangling);
  await expectKind(restore(store, dangling), 'exists');
  assert.deepEqual(readdirSync(scratch.path).sort(), ['app.db', 'dangling.db']);
});

test('a WAL or journal beside the target, which SQLite would replay into it, is refused', async () => {
  using scratch = new Scratch();
  for (const suffix of ['-wal', '-journal']) {
    const path = join(scratch.path, `x${suffix}.db`);
    writeFileSync(`${path}${suffix}`, 'stale');
    const error = await expectKind(restore(store, path), 'exists');
    assert.equal(error.facts.path, `${path}${suffix}`);
    assert.match(error.message, /would be replayed/);
  }
});

test('force replaces file, WAL and shared memory; the result is what SQLite then sees', async () => {
  using scratch = new Scratch();
  const path = join(scratch.path, 'app.db');
  const other = new Database(join(scratch.path, 'other.db'));
  other.pragma('journal_mode = WAL');
  other.exec('CREATE TABLE stale (x); INSERT INTO stale VALUES (1)');
  linkSync(join(scratch.path, 'other.db'), path);
  linkSync(join(scratch.path, 'other.db-wal'), `${path}-wal`);
  writeFileSync(`${path}-shm`, 'x');
  await restore(store, path, { force: true });
  assert.equal(hashOfFile(path), latestState(history).hash);
  assert.deepEqual(
    readdirSync(scratch.path).filter((name) => name.includes('app')),
    ['app.db'],
  );
  assert.equal(hashOf(openAndRead(path)), latestState(history).hash);
  other.close();
});

test('a failed replacement leaves the old file with its WAL', async () => {
  using scratch = new Scratch();
  const path = join(scratch.path, 'app.db');
  mkdirSync(path);
  writeFileSync(`${path}-wal`, 'its WAL');
  await assert.rejects(restore(store, path, { force: true }), SeawallError);
  assert.equal(readFileSync(`${path}-wal`, 'utf8'), 'its WAL');
  assert.deepEqual(readdirSync(scratch.path).sort(), ['app.db', 'app.db-wal']);
});

test('nothing is left after any object was found damaged', async () => {
  using scratch = new Scratch();
  const damaged = memoryStore();
  const keys: string[] = [];
  for await (const { key } of store.list('')) {
    keys.push(key);
    await damaged.put(key, (await store.get(key)).body);
  }
  for (const key of keys) {
    const { body } = await store.get(key);
    for (const at of [3, body.length >> 1, body.length - 2]) {
      const flipped = Buffer.from(body);
      flipped[at]! ^= 0x20;
      await damaged.put(key, flipped);
      const error = await expectKind(restore(damaged, join(scratch.path, 'x.db')), 'corrupt');
      assert.equal(error.facts.key, key);
      assert.deepEqual(readdirSync(scratch.path), []);
    }
    await damaged.put(key, body);
  }
});

test('nothing is left when the disk fails, and the reason is said', async (t) => {
  using scratch = new Scratch();
  await t.test('a folder that cannot be written', { skip: process.getuid?.() === 0 }, async () => {
    const folder = join(scratch.path, 'sealed');
    mkdirSync(folder);
    chmodSync(folder, 0o500);
    const error = await expectKind(restore(store, join(folder, 'x.db')), 'local');
    assert.equal(error.code, 'TARGET_WRITE');
    assert.deepEqual(readdirSync(folder), []);
  });
  await t.test('a folder that is not there', async () => {
    const error = await expectKind(restore(store, join(scratch.path, 'none', 'x.db')), 'local');
    assert.equal(error.code, 'NO_FOLDER');
  });
  await t.test('an interruption half way', async () => {
    const path = join(scratch.path, 'half.db');
    const onProgress = (): void => {
      throw new Error('stop here');
    };
    await assert.rejects(restore(store, path, { onProgress }), /stop here/);
    assert.ok(!readdirSync(scratch.path).some((name) => name.includes('half')));
  });
  await t.test('a write that fails', { skip: process.platform === 'win32' }, async () => {
    const folder = join(scratch.path, 'small');
    mkdirSync(folder);
    const script = `
      import { codec } from './replica/format/codec.ts';
      import { restore } from './replica/restore/restore.ts';
      import { writeSnapshot } from './replica/objects/snapshot-writer.ts';
      import { memoryStore } from './replica/store/memory.ts';
      const store = memoryStore();
      const facts = { generation: '00000000000000aa', index: 0, pageSize: 4096, pages: 512, time: 5, reason: 'test' };
      const blocks = async function* () { for (let i = 0; i < 2; i++) yield Buffer.alloc(1 << 20, i + 1); };
      await writeSnapshot(store, { ...facts, checksum: undefined }, codec('lz4'), blocks());
      const error = await restore(store, process.argv[1]).catch((reason) => reason);
      console.log(JSON.stringify([error.kind, error.code, error.cause?.code]));
    `;
    // No file of more than 1.5 MiB; the signal ignored, so that write(2) fails instead.
    const shell = `trap '' XFSZ; ulimit -f 1536; exec "$0" "$@"`;
    const command = [process.execPath, '--input-type=module', '-e', script, join(folder, 'x.db')];
    const result = spawnSync('bash', ['-c', shell, ...command], { encoding: 'utf8' });
    assert.deepEqual(JSON.parse(result.stdout || '[]'), ['local', 'TARGET_WRITE', 'EFBIG'], result.stderr);
    assert.deepEqual(readdirSync(folder), []);
  });
  await t.test('a name too long for the file system', async () => {
    const path = join(scratch.path, 'n'.repeat(250));
    const error = await expectKind(restore(store, path), 'local');
    assert.equal(error.facts.path, path);
  });
});

test('a file that appears during the restore is not replaced', async () => {
  using scratch = new Scratch();
  const path = join(scratch.path, 'late.db');
  const onProgress = (): void => {
    writeFileSync(path, 'mine');
  };
  const error = await expectKind(restore(store, path, { onProgress }), 'exists');
  assert.equal(error.facts.path, path);
  assert.equal(readFileSync(path, 'utf8'), 'mine');
  assert.deepEqual(readdirSync(scratch.path), ['late.db']);
});

test('mode: as the snapshot recorded it, as the replaced file had it, or the usual one', async () => {
  using scratch = new Scratch();
  const image = Buffer.alloc(4096, 7);
  const withMode = async (mode: number | undefined): Promise<Store> => {
    const single = memoryStore();
    const file = mode === undefined ? {} : { file: { mode, uid: process.getuid!(), gid: process.getgid!() } };
    const facts = { generation: '00000000000000aa', index: 0, pageSize: 4096, pages: 1, time: 5, reason: 'test' };
    await writeSnapshot(single, { ...facts, checksum: undefined, ...file }, codec('lz4'), blocksOf(image));
    return single;
  };
  const fresh = scratch.file();
  await restore(await withMode(0o640), fresh);
  assert.equal(statSync(fresh).mode & 0o7777, 0o640);
  chmodSync(fresh, 0o600);
  await restore(await withMode(0o644), fresh, { force: true });
  assert.equal(statSync(fresh).mode & 0o7777, 0o600);
  const usual = scratch.file();
  writeFileSync(`${usual}.probe`, '');
  await restore(await withMode(undefined), usual);
  assert.equal(statSync(usual).mode & 0o7777, statSync(`${usual}.probe`).mode & 0o7777, 'as the umask makes new files');
});

test('progress reaches the total', async () => {
  using scratch = new Scratch();
  const seen: [number, number | undefined][] = [];
  const { bytes } = await restore(store, scratch.file(), { onProgress: (...now) => void seen.push(now) });
  assert.deepEqual(seen.at(-1), [bytes, bytes]);
  const keys: string[] = [];
  for await (const { key } of store.list('')) keys.push(key);
  assert.ok(keys.some((key) => parseKey(key)?.kind === 'segment'));
});
