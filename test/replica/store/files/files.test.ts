import { Buffer } from 'node:buffer';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFile,
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { SeawallError } from '../../../../replica/terms/errors.ts';
import { filesError } from '../../../../replica/store/files/errors.ts';
import { filesStore } from '../../../../replica/store/files/store.ts';
import type { Store } from '../../../../replica/store/store.ts';
import { storeConformance } from '../../../../testing/index.ts';
import { rejects } from '../../../../testing/store/failures.ts';
import { collect, drain } from '../../../../testing/store/reading.ts';
import assert from 'node:assert/strict';

const RACER = join(import.meta.dirname, 'files-racer.ts');
const base = await mkdtemp(join(tmpdir(), 'seawall-files-'));
after(() => rm(base, { recursive: true, force: true }));

let folders = 0;
async function newFolder(): Promise<string> {
  const folder = join(base, `f${folders++}`);
  await mkdir(folder);
  return folder;
}

storeConformance('files', async () => filesStore(await newFolder()), {
  close: async (store) => {
    await store.close();
    await rm(new URL(store.url), { recursive: true, force: true });
  },
});

async function keysOf(store: Store, prefix = ''): Promise<string[]> {
  return (await collect(store.list(prefix))).map(({ key }) => key);
}

async function allNames(directory: string): Promise<string[]> {
  return (await readdir(directory, { recursive: true })).sort();
}

describe('files: several processes', () => {
  const run = promisify(execFile);
  const racer = (directory: string, ...args: string[]): Promise<{ stdout: string }> =>
    run(process.execPath, [RACER, directory, ...args]);

  test('of processes racing "absent", exactly one wins each key', async () => {
    const directory = await newFolder();
    const rounds = 150;
    const results = await Promise.all(['a', 'b', 'c'].map((id) => racer(directory, 'absent', id, String(rounds))));
    const won = results.map(({ stdout }) => JSON.parse(stdout) as number[]);
    assert.deepEqual(
      won.flat().sort((a, b) => a - b),
      Array.from({ length: rounds }, (_, round) => round),
    );
    const store = filesStore(directory);
    for (const [i, id] of ['a', 'b', 'c'].entries()) {
      for (const round of won[i] ?? []) {
        assert.equal((await store.get(`absent/${round}`)).body.toString(), `${id} in round ${round}`);
      }
    }
  });

  test('no count is lost when processes replace by ifMatch, also through stores opened at other depths', async () => {
    const directory = await newFolder();
    await filesStore(directory).put('db/count/value', Buffer.from('0'));
    const times = 60;
    await Promise.all([
      racer(join(directory, 'db'), 'count', 'a', String(times)),
      racer(join(directory, 'db'), 'count', 'b', String(times)),
      (async () => {
        const outer = filesStore(directory);
        for (let done = 0; done < times;) {
          const { body, etag } = await outer.get('db/count/value');
          const next = Buffer.from(String(Number(body.toString()) + 1));
          try {
            await outer.put('db/count/value', next, { ifMatch: etag });
            done++;
          } catch (error) {
            if (!(error instanceof SeawallError) || error.kind !== 'conflict') throw error;
          }
        }
      })(),
    ]);
    assert.equal((await filesStore(directory).get('db/count/value')).body.toString(), String(3 * times));
  });

  test('killed processes leave whole objects, no locks, and nothing that is listed as one', async () => {
    const directory = await newFolder();
    const store = filesStore(directory);
    for (let round = 0; round < 6; round++) {
      const children = ['a', 'b'].map((id) => spawn(process.execPath, [RACER, directory, 'churn', id]));
      await Promise.all(children.map((child) => once(child.stdout, 'data')));
      await sleep(40 + 25 * round);
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(children.map((child) => once(child, 'exit')));
      for (const { key } of await collect(store.list(''))) {
        assert.match(key, /^churn\/(up\/[ab]|\d\/[ab]\/k\d)$/);
        const { body } = await store.get(key);
        assert.equal(body.length, 200_000);
        assert.ok(body.equals(Buffer.alloc(body.length, body[0])), `${key} is a mixture`);
      }
      // What the dead held is free again.
      await store.put('churn/up/a', Buffer.alloc(200_000));
    }
    for (const left of await collect(store.unfinished(''))) {
      assert.match(left.key, /^churn\//);
      await left.abort();
    }
    await store.delete(await keysOf(store));
    // A process that dies between its last deletion and the removal of the folder leaves it, empty but for the lock.
    const left = await readdir(directory, { recursive: true, withFileTypes: true });
    assert.deepEqual(
      left.filter((entry) => !entry.isDirectory() && entry.name !== '.seawall-lock').map(({ name }) => name),
      [],
    );
    assert.deepEqual(await collect(store.folders('')), []);
  });
});

describe('files: the folder', () => {
  test('objects are plain files at the paths of their keys, and nothing else is left', async () => {
    const directory = await newFolder();
    const store = filesStore(directory);
    await store.put('db/generations/x/wal/1', Buffer.from('one'), 'absent');
    assert.equal(await readFile(join(directory, 'db/generations/x/wal/1'), 'utf8'), 'one');
    const upload = await store.upload('db/two');
    await upload.put(1, 0, Buffer.from('two'));
    await upload.complete('absent');
    assert.deepEqual(await allNames(directory), [
      'db',
      'db/generations',
      'db/generations/x',
      'db/generations/x/wal',
      'db/generations/x/wal/1',
      'db/two',
    ]);
  });

  test('parts go to their places in the file that becomes the object: nothing is joined', async () => {
    const directory = await newFolder();
    const store = filesStore(directory);
    const { etag } = await store.put('from', Buffer.from('0123456789'));
    const upload = await store.upload('to');
    await upload.put(3, 7, Buffer.from('end'));
    await upload.copy(2, 3, 'from', { offset: 2, length: 4 }, etag);
    await upload.put(1, 0, Buffer.from('new'));
    const [unseen] = (await allNames(directory)).filter((name) => name.startsWith('.seawall-upload-'));
    const { ino } = await stat(join(directory, unseen!));
    assert.equal(await readFile(join(directory, unseen!), 'utf8'), 'new2345end');
    await upload.complete('absent');
    assert.equal((await stat(join(directory, 'to'))).ino, ino);
    assert.deepEqual((await allNames(directory)).filter((name) => name !== '.seawall-lock').sort(), ['from', 'to']);
  });

  test('folders that deletes or aborts emptied are removed, up to the root', async () => {
    const directory = await newFolder();
    const store = filesStore(directory);
    await store.put('a/b/c/d', Buffer.from('x'));
    await store.put('a/b/c/d', Buffer.from('y'));
    await store.put('a/e', Buffer.from('x'));
    await store.delete(['a/b/c/d']);
    assert.deepEqual(
      (await allNames(directory)).filter((name) => !name.includes('.seawall-lock')),
      ['a', 'a/e'],
    );
    await store.delete(['a/e']);
    const upload = await store.upload('a/b/c');
    await upload.abort();
    assert.deepEqual(await allNames(directory), []);
    assert.ok((await stat(directory)).isDirectory());
  });

  test('puts and deletes in folders that come and go never fail', async () => {
    const store = filesStore(await newFolder());
    const churn = async (id: number): Promise<void> => {
      for (let i = 0; i < 40; i++) {
        await store.put(`x/y/${id}`, Buffer.from(String(i)), i % 2 === 0 ? 'absent' : undefined);
        await store.delete([`x/y/${id}`]);
      }
    };
    await Promise.all([0, 1, 2, 3, 4].map(churn));
    assert.deepEqual(await keysOf(store), []);
  });

  test('a folder that does not exist reads as empty, is not made by reading, and is made by writing', async () => {
    const directory = join(await newFolder(), 'not', 'yet');
    const store = filesStore(directory);
    assert.equal(await store.head('k'), undefined);
    assert.deepEqual(await keysOf(store), []);
    assert.deepEqual(await collect(store.folders('')), []);
    assert.deepEqual(await collect(store.unfinished('')), []);
    assert.deepEqual(await store.delete(['k']), [{ key: 'k' }]);
    await assert.rejects(stat(directory));
    await store.put('k', Buffer.from('x'), 'absent');
    assert.deepEqual(await keysOf(store), ['k']);
  });

  test('foreign files are listed, and do no harm', async () => {
    const directory = await newFolder();
    const store = filesStore(directory);
    await store.put('db/k', Buffer.from('x'));
    await writeFile(join(directory, '.DS_Store'), 'mac');
    await writeFile(join(directory, 'db', 'notes.txt'), 'mine');
    await mkdir(join(directory, 'empty', 'deeper'), { recursive: true });
    assert.deepEqual(await keysOf(store), ['.DS_Store', 'db/k', 'db/notes.txt']);
    assert.deepEqual(await collect(store.folders('')), ['db']);
    assert.equal((await store.get('.DS_Store')).body.toString(), 'mac');
  });

  test('our own names are reserved at any depth, and never listed', async () => {
    const directory = await newFolder();
    const store = filesStore(directory);
    for (const key of ['.seawall-lock', 'a/.seawall-put-1-2~k', '.seawall-upload-x/00001']) {
      await assert.rejects(store.put(key, Buffer.from('x')), RangeError);
      await assert.rejects(store.get(key), RangeError);
    }
    await mkdir(join(directory, 'db', '.seawall-upload-18c0-0123456789abcdef~k'), { recursive: true });
    await writeFile(join(directory, 'db', '.seawall-upload-18c0-0123456789abcdef~k', '00001'), 'part');
    await writeFile(join(directory, 'db', '.seawall-put-18c1-0123456789abcdef~new~ name'), 'half');
    await writeFile(join(directory, 'db', '.seawall-lock'), '');
    assert.deepEqual(await keysOf(store), []);
    assert.deepEqual(await collect(store.folders('')), []);
    const found = await collect(store.unfinished('db/'));
    assert.deepEqual(found.map(({ key, started }) => [key, started]).sort(), [
      ['db/k', 0x18c0],
      ['db/new~ name', 0x18c1],
    ]);
    for (const left of found) await left.abort();
    assert.deepEqual(await allNames(directory), []);
  });

  test('symbolic links are neither listed, read, written through nor deleted', async () => {
    const directory = await newFolder();
    const outside = await newFolder();
    await writeFile(join(outside, 'secret'), 'outside');
    const store = filesStore(directory);
    await store.put('in', Buffer.from('inside'));
    await symlink(outside, join(directory, 'folder'));
    await symlink(join(outside, 'secret'), join(directory, 'file'));
    await symlink(directory, join(directory, 'loop'));
    assert.deepEqual(await keysOf(store), ['in']);
    assert.deepEqual(await collect(store.folders('')), []);
    for (const key of ['file', 'folder/secret', 'loop/in']) {
      assert.equal(await store.head(key), undefined);
      await rejects(store.get(key), 'missing');
      await rejects(drain(store.stream(key)), 'missing');
    }
    await rejects(store.put('folder/new', Buffer.from('x')), 'refused', 'FILES_SYMLINK');
    await rejects(store.put('folder/deep/new', Buffer.from('x')), 'refused', 'FILES_SYMLINK');
    await rejects(store.put('file', Buffer.from('x'), 'absent'), 'conflict');
    assert.deepEqual(await store.delete(['folder/secret', 'file']), [{ key: 'folder/secret' }, { key: 'file' }]);
    assert.deepEqual(await allNames(outside), ['secret']);
  });

  test('a root that is itself a symbolic link works', async () => {
    const directory = await newFolder();
    const linked = join(base, `link${folders}`);
    await symlink(directory, linked);
    const store = filesStore(linked);
    await store.put('a/k', Buffer.from('x'));
    assert.deepEqual(await keysOf(store), ['a/k']);
    assert.equal(store.url, pathToFileURL(linked).href);
  });

  test('the ETag changes when a file is edited in place, and a stream of it fails', async () => {
    const directory = await newFolder();
    const store = filesStore(directory);
    const { etag } = await store.put('k', Buffer.alloc(2_000_000, 1));
    const streaming = async (): Promise<void> => {
      let first = true;
      for await (const piece of store.stream('k')) {
        assert.ok(piece.length > 0);
        if (first) await appendFile(join(directory, 'k'), 'more');
        first = false;
      }
    };
    await rejects(streaming(), 'conflict', 'STORE_OBJECT_CHANGED');
    await rejects(store.put('k', Buffer.from('x'), { ifMatch: etag }), 'conflict');
    const before = (await store.head('k'))?.etag;
    await utimes(join(directory, 'k'), 1, 1);
    assert.notEqual((await store.head('k'))?.etag, before);
  });

  test('writes in quick succession never share an ETag', async () => {
    const store = filesStore(await newFolder());
    const seen = new Set<string>();
    for (let i = 0; i < 300; i++) seen.add((await store.put('k', Buffer.from('same size'))).etag);
    assert.equal(seen.size, 300);
  });

  test('where a key is an object, nothing can lie below it, and the error says so', async () => {
    const store = filesStore(await newFolder());
    await store.put('a', Buffer.from('x'));
    await rejects(store.put('a/b', Buffer.from('x')), 'unsupported', 'FILES_KEY_CLASH');
    await store.put('c/d', Buffer.from('x'));
    await rejects(store.put('c', Buffer.from('x')), 'unsupported', 'FILES_KEY_CLASH');
    await rejects(store.put('c', Buffer.from('x'), 'absent'), 'unsupported', 'FILES_KEY_CLASH');
    const upload = await store.upload('c');
    await upload.put(1, 0, Buffer.from('x'));
    await rejects(upload.complete('absent'), 'unsupported', 'FILES_KEY_CLASH');
    await upload.abort();
    await rejects(store.put('n'.repeat(250), Buffer.from('x')), 'unsupported', 'FILES_NAME_TOO_LONG');
    assert.deepEqual(await keysOf(store), ['a', 'c/d']);
  });

  test('a root that is a file is a clear error', async () => {
    const file = join(await newFolder(), 'file');
    await writeFile(file, 'x');
    const failure = await rejects(filesStore(file).put('k', Buffer.from('x')), 'unsupported');
    assert.ok(failure.message.includes(file));
    assert.throws(() => filesStore(''), TypeError);
  });

  test('errors of the disk have kinds, and name the path', () => {
    const cases = [
      ['ENOSPC', 'local', 'FILES_NO_SPACE'],
      ['EROFS', 'local', 'FILES_READ_ONLY'],
      ['EACCES', 'denied', 'FILES_DENIED'],
      ['EIO', 'local', 'FILES_IO'],
      ['EWHATEVER', 'local', 'FILES_FAILED'],
    ] as const;
    for (const [code, kind, name] of cases) {
      const error = filesError(Object.assign(new Error('boom'), { code }), '/backups/db', 'k');
      assert.ok(error instanceof SeawallError);
      assert.equal(error.kind, kind);
      assert.equal(error.code, name);
      assert.deepEqual(error.facts, { path: '/backups/db', key: 'k' });
      assert.match(error.message, /^\/backups\/db: .+ \(E/);
    }
  });

  test('a disk that is full, and a folder that may not be written, are named errors', async (t) => {
    // /dev/full answers every write with ENOSPC; a link to it is refused, so the error is taken at its source.
    const failure = await writeFile('/dev/full', 'x').catch((error: unknown) => filesError(error, '/dev/full'));
    assert.ok(failure instanceof SeawallError && failure.code === 'FILES_NO_SPACE');
    if (process.getuid?.() === 0) {
      t.diagnostic('permissions do not bind root: that half was not tried');
      return;
    }
    const directory = await newFolder();
    await chmod(directory, 0o555);
    await rejects(filesStore(directory).put('k', Buffer.from('x')), 'denied', 'FILES_DENIED');
  });
});
