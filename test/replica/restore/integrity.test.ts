/** SQLite's check, as the drill and the restore function run it on a file they restored. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { checkIntegrity } from '../../../replica/restore/integrity.ts';
import { Scratch } from '../../history/scratch.ts';

test('a sound database has no findings; one that is damaged or none has; what cannot be opened is an error', async () => {
  using scratch = new Scratch();
  const path = join(scratch.path, 'a.db');
  const database = new DatabaseSync(path);
  database.exec('PRAGMA page_size = 512; CREATE TABLE t (a); CREATE INDEX i ON t (a)');
  for (let n = 0; n < 200; n++) database.prepare('INSERT INTO t VALUES (?)').run(`row ${String(n)}`);
  database.close();
  assert.deepEqual(await checkIntegrity(path), []);

  const bytes = readFileSync(path);
  bytes.fill(0, bytes.length - 512);
  writeFileSync(path, bytes);
  assert.ok((await checkIntegrity(path)).length > 0);

  writeFileSync(path, 'no database, but long enough to be taken for one. '.repeat(40));
  assert.deepEqual(await checkIntegrity(path), ['file is not a database']);
  await assert.rejects(checkIntegrity(join(scratch.path, 'nowhere', 'a.db')), /unable to open/);
});
