/** The lock of a folder. */
import { Buffer } from 'node:buffer';
import { renameSync, statSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { withFolderLock } from '../../../../replica/store/files/lock.ts';
import { filesStore } from '../../../../replica/store/files/store.ts';
import { scoped } from '../../../../replica/store/scoped.ts';
import assert from 'node:assert/strict';
import { Scratch } from '../../../history/scratch.ts';

describe('files: the lock', () => {
  test('sections of one folder never overlap, and a failing one frees the lock', async () => {
    using scratch = new Scratch();
    const directory = scratch.path;
    let inside = 0;
    const section = async (fails: boolean): Promise<void> => {
      assert.equal(inside++, 0);
      await sleep(1);
      inside--;
      if (fails) throw new Error('section failed');
    };
    const running = Array.from({ length: 30 }, (_, i) => withFolderLock(directory, () => section(i % 3 === 0)));
    const settled = await Promise.allSettled(running);
    assert.equal(settled.filter(({ status }) => status === 'rejected').length, 10);
    for (const outcome of settled)
      if (outcome.status === 'rejected') assert.match(String(outcome.reason), /section failed/);
  });

  test('a lock file that was removed meanwhile is no lock: it is taken anew', async (t) => {
    using scratch = new Scratch();
    const directory = scratch.path;
    const path = join(directory, '.seawall-lock');
    await writeFile(path, '');
    const exec = Reflect.get(DatabaseSync.prototype, 'exec');
    let taken = 0;
    t.mock.method(DatabaseSync.prototype, 'exec', function (this: DatabaseSync, sql: string) {
      exec.call(this, sql);
      if (!sql.startsWith('BEGIN') || statSync(path, { throwIfNoEntry: false }) === undefined) return;
      // Another process empties the folder, and a third one comes: the file at the path is another by now.
      if (++taken === 1) renameSync(path, `${path}-old`);
      if (taken === 1) writeFileSync(path, '');
    });
    await withFolderLock(directory, () => Promise.resolve());
    assert.ok(taken >= 2, `${taken} times`);
  });

  test('scopes over one folder share it', async () => {
    using scratch = new Scratch();
    const directory = scratch.path;
    const a = scoped(filesStore(directory), 'db');
    const b = filesStore(join(directory, 'db'));
    const { etag } = await a.put('k', Buffer.from('0'));
    const settled = await Promise.allSettled([a, b].map((s, i) => s.put('k', Buffer.from(`w${i}`), { ifMatch: etag })));
    assert.equal(settled.filter(({ status }) => status === 'fulfilled').length, 1);
  });
});
