/** maintain works on every database below a root, one by one, and one failure does not stop the others. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { findDatabases } from '../../replica/catalogue/databases.ts';
import { filesStore } from '../../replica/store/files/store.ts';
import { memoryStore } from '../../replica/store/memory.ts';
import { scoped } from '../../replica/store/scoped.ts';
import { buildHistory } from '../history/history.ts';
import { Scratch } from '../history/scratch.ts';
import { Running, seawall, type Json } from './seawall.ts';

const BIG = { codec: 'lz4', commits: 20, pageSize: 1024, checkpoints: 0.3, cut: { notRestorable: 0 } } as const;

async function found(keys: readonly string[]): Promise<string[]> {
  const store = memoryStore();
  for (const key of keys) await store.put(key, Buffer.from('x'));
  const databases: string[] = [];
  for await (const database of findDatabases(store)) databases.push(database);
  return databases;
}

test('databases are found at every depth, and not inside each other', async () => {
  const id = '0123456789abcdef';
  const keys = [
    `a/generations/${id}/snapshots/00000000.snapshot.lz4`,
    `a/inner/generations/${id}/wal/00000000_00000000.wal.lz4`,
    `deep/er/down/generations/${id}/snapshots/00000000.snapshot.lz4`,
    `generations-not/${id}/x`,
    `other/generations/readme`,
    `other/generations/sub/generations/${id}/wal/x`,
    'plain',
  ];
  assert.deepEqual(await found(keys), ['a', 'deep/er/down', 'other/generations/sub']);
  assert.deepEqual(await found([`generations/${id}/wal/x`, `b/generations/${id}/wal/x`]), ['']);
  assert.deepEqual(await found([]), []);
});

test('once over two databases: both are compacted and retained, and the report is JSON lines', async () => {
  using scratch = new Scratch();
  const root = filesStore(scratch.path);
  await buildHistory(scoped(root, 'one'), { ...BIG, seed: 1 });
  await buildHistory(scoped(root, 'nested/two'), { ...BIG, seed: 2 });
  const flags = ['--once', '--json', '--ratio', '0', '--window', '1h', '--daily', '1'];
  const ended = await seawall(['maintain', scratch.path, ...flags]);
  assert.deepEqual([ended.code, ended.stderr], [0, '']);
  const events = ended.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Json);
  assert.deepEqual(
    events.map(({ event, database }) => [event, database]),
    [
      ['database', 'nested/two'],
      ['database', 'one'],
      ['round', undefined],
    ],
  );
  for (const event of events.slice(0, 2)) {
    assert.equal(event['ok'], true);
    assert.equal((event['compaction'] as Json)['outcome'], 'compacted');
    assert.equal(typeof (event['retention'] as { freed: Json }).freed['objects'], 'number');
  }
  const { databases, failed } = events[2]!;
  assert.deepEqual([databases, failed], [2, 0]);
});

test('a damaged database is named and does not stop the others; the exit code is 4', async () => {
  using scratch = new Scratch();
  const root = filesStore(scratch.path);
  await buildHistory(scoped(root, 'bad'), { ...BIG, seed: 3 });
  await buildHistory(scoped(root, 'good'), { ...BIG, seed: 4 });
  const [key] = (readdirSync(join(scratch.path, 'bad'), { recursive: true }) as string[]).filter((name) =>
    name.endsWith('snapshot.lz4'),
  );
  const path = join(scratch.path, 'bad', key!);
  const bytes = readFileSync(path);
  bytes[30]! ^= 1;
  writeFileSync(path, bytes);
  const ended = await seawall(['maintain', scratch.path, '--once', '--ratio', '0']);
  assert.equal(ended.code, 4, ended.stdout + ended.stderr);
  assert.ok(ended.stdout.includes(`bad: compaction failed: ${key}`), ended.stdout);
  assert.match(ended.stdout, /^good: compacted into /m);
  assert.match(ended.stdout, /round over 2 databases in .* s, 1 failed/);
});

test('without databases --once exits 3; going on, SIGTERM ends it with 0', async () => {
  using scratch = new Scratch();
  const none = await seawall(['maintain', scratch.path, '--once']);
  assert.equal(none.code, 3);
  assert.match(none.stderr, /there is no database below file:\/\//);
  await using running = new Running(['maintain', scratch.path, '--interval', '50ms', '--json']);
  await running.line(/"event":"round"/);
  await buildHistory(scoped(filesStore(scratch.path), 'late'), { ...BIG, seed: 5 });
  await running.line(/"database":"late"/);
  running.child.kill('SIGTERM');
  const ended = await running.ended();
  assert.deepEqual([ended.code, ended.signal, ended.stderr], [0, null, '']);
  const names = running.events().map(({ event }) => event);
  assert.ok(names.includes('stopping'));
  assert.equal(names.at(-1), 'stopped');
});
