/** Names lead where the user thinks: paths and `file:` URLs of databases, relative replicas. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { settle } from '../../shipper/options.ts';

const databaseOf = (database: string): string => settle({ database, replica: 's3://b/p?region=r' }).database;

test('a file: URL is the file that SQLite opens by it', () => {
  const here = join(process.cwd(), 'data/a b.db');
  assert.equal(databaseOf('file:data/a%20b.db'), here);
  assert.equal(databaseOf('file:data/a%20b.db?mode=rwc&cache=shared'), here);
  assert.equal(databaseOf(`file://${here.replace(' ', '%20')}`), here);
  assert.equal(databaseOf(`file://localhost${here.replace(' ', '%20')}`), here);
  assert.equal(databaseOf(`file:${here.replace(' ', '%20')}`), here);
  assert.equal(databaseOf('data/a b.db'), here);
});

test('a database in memory is refused', () => {
  for (const database of [
    ':memory:',
    'file::memory:',
    'file:x?mode=memory',
    'file:x?cache=shared&mode=memory',
    'file:',
  ]) {
    assert.throws(() => databaseOf(database), /database must be a file/);
  }
});

test('a relative replica is resolved when the shipper is made, as the database is', () => {
  assert.equal(settle({ database: 'a.db', replica: 'backup' }).replica, join(process.cwd(), 'backup'));
  for (const replica of ['s3://b/p?region=r', 'file:///backup', '/backup']) {
    assert.equal(settle({ database: 'a.db', replica }).replica, replica);
  }
});
