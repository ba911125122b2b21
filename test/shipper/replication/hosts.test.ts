/** Databases and machines that cannot be shipped from, or only just: each is refused with what to do, or handled. */
import assert from 'node:assert/strict';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { SeawallError } from '../../../replica/terms/errors.ts';
import { refuseNetwork } from '../../../shipper/helper/database/database-place.ts';
import { hasWalResetBug } from '../../../shipper/wal-reset-bug.ts';
import { assertSameBytes } from '../../history/same-bytes.ts';
import { blobTable } from '../blob-table.ts';
import { withFileSystem } from '../file-system.ts';
import { alive, Scene } from '../scene.ts';

function ready(path: string): Database.Database {
  const db = blobTable(path, 20, 4000);
  db.pragma('synchronous = FULL');
  return db;
}

const code = (expected: string, words?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof SeawallError, String(error));
  assert.equal(error.code, expected, error.message);
  if (words !== undefined) assert.match(error.message, words);
  return true;
};

async function identical(scene: Scene): Promise<void> {
  assertSameBytes(readFileSync((await scene.restore()).path), scene.image());
}

test('a database that is not in WAL mode is refused with the way out, and switched where that is asked for', async () => {
  await using scene = new Scene();
  const db = new Database(scene.database);
  db.exec('CREATE TABLE t (b)');
  await assert.rejects(scene.ship(), code('NOT_WAL', /enableWal/));
  const shipper = await scene.ship({ enableWal: true });
  db.exec('INSERT INTO t VALUES (1)');
  await shipper.sync();
  await identical(scene);
  await shipper.stop();
  db.close();
});

test('an app that holds the file exclusively: refused at start; later SQLite refuses the app, not the shipper', async () => {
  await using scene = new Scene();
  const db = ready(scene.database);
  db.pragma('locking_mode = EXCLUSIVE');
  db.exec('INSERT INTO t (b) VALUES (1)');
  await assert.rejects(scene.ship(), code('DATABASE_LOCKED', /locking_mode/));
  db.pragma('locking_mode = NORMAL');
  db.prepare('SELECT count(*) FROM t').get();
  const shipper = await scene.ship();
  db.pragma('busy_timeout = 100');
  db.pragma('locking_mode = EXCLUSIVE');
  assert.throws(() => db.exec('INSERT INTO t (b) VALUES (2)'), /locked/);
  db.pragma('locking_mode = NORMAL');
  db.exec('INSERT INTO t (b) VALUES (3)');
  await shipper.sync();
  await identical(scene);
  await shipper.stop();
  db.close();
});

test('a lock that passes within seconds is waited for at a start', async () => {
  await using scene = new Scene();
  const db = ready(scene.database);
  db.pragma('locking_mode = EXCLUSIVE');
  db.exec('INSERT INTO t (b) VALUES (1)');
  const starting = scene.ship();
  await sleep(1500);
  db.pragma('locking_mode = NORMAL');
  db.prepare('SELECT count(*) FROM t').get();
  const shipper = await starting;
  assert.deepEqual(
    scene.events.filter(({ type }) => type === 'problem'),
    [],
  );
  await identical(scene);
  await shipper.stop();
  db.close();
});

test('network file systems are refused by name, with the option to override', () => {
  for (const [type, name] of [
    [0x6969, 'NFS'],
    [0xff534d42, 'SMB (CIFS)'],
    [0xff534d42 | 0, 'SMB (CIFS)'],
    [0x65735546, 'FUSE'],
    [0x01021997, '9P'],
  ] as const) {
    assert.throws(
      () => {
        refuseNetwork('/data/app.db', type);
      },
      code('NETWORK_FILE_SYSTEM', /allowNetworkFileSystem/),
    );
    assert.throws(
      () => {
        refuseNetwork('/data/app.db', type);
      },
      new RegExp(name.replace(/[()]/g, '\\$&')),
    );
  }
  for (const local of [0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1]) {
    refuseNetwork('/data/app.db', local);
  }
});

test('a database on read-only media is refused, and what cannot be written is named', async (t) => {
  await withFileSystem(t, 'size=2m', async (folder) => {
    await using scene = new Scene();
    const database = join(folder, 'app.db');
    ready(database).close();
    spawnSync('mount', ['-o', 'remount,ro', folder]);
    await assert.rejects(scene.ship({ database }), code('DATABASE_READ_ONLY', /EROFS/));
  });
});

test('a full disk of the database stops neither the shipper nor what was committed before', async (t) => {
  await withFileSystem(t, 'size=1m', async (folder) => {
    await using scene = new Scene();
    const database = join(folder, 'app.db');
    const db = ready(database);
    const shipper = await scene.ship({
      database,
      stateFolder: join(scene.folder, 'state'),
      checkpointAt: '64KiB',
      sealAt: '64KiB',
    });
    let committed = 0;
    const fill = (): void => {
      for (;;) {
        db.exec('INSERT INTO t (b) VALUES (randomblob(4000))');
        committed++;
      }
    };
    assert.throws(fill, /full/);
    assert.ok(committed > 0);
    await shipper.sync();
    await sleep(1000);
    assert.ok(['streaming', 'waiting'].includes((await shipper.status()).state));
    const before = Number(db.prepare('SELECT count(*) FROM t').pluck().get());
    const restored = new Database((await scene.restore()).path);
    assert.equal(restored.prepare('SELECT count(*) FROM t').pluck().get(), before);
    restored.close();
    spawnSync('mount', ['-o', 'remount,size=20m', folder]);
    for (let i = 0; i < 100; i++) db.exec('INSERT INTO t (b) VALUES (randomblob(4000))');
    await shipper.sync();
    const again = new Database((await scene.restore()).path);
    assert.equal(again.prepare('SELECT count(*) FROM t').pluck().get(), before + 100);
    again.close();
    assert.equal((await shipper.status()).state, 'streaming');
    assert.deepEqual(scene.reasons(), ['new-replica']);
    await shipper.stop();
    db.close();
  });
});

test('a symbolic link is followed: state folder and lock lie with the real file, and a second shipper is refused', async () => {
  await using scene = new Scene();
  const db = ready(scene.database);
  mkdirSync(join(scene.folder, 'links'));
  const link = join(scene.folder, 'links/other-name.db');
  symlinkSync('../app.db', link);
  const shipper = await scene.ship({ database: link });
  assert.ok(existsSync(`${scene.database}-seawall/lock`));
  assert.ok(!existsSync(`${link}-seawall`));
  db.exec('INSERT INTO t (b) VALUES (1)');
  await shipper.sync();
  await identical(scene);
  const holder = String(scene.holder());
  await assert.rejects(scene.ship(), code('ALREADY_SHIPPED', new RegExp(holder)));
  await shipper.stop();
  db.close();
});

test('a symbolic link to a file that is not there yet is restored to where it leads', async () => {
  await using scene = new Scene();
  const db = ready(scene.database);
  const first = await scene.ship();
  await first.stop();
  db.close();
  const image = scene.image();
  for (const suffix of ['', '-wal', '-shm', '-seawall'])
    rmSync(scene.database + suffix, { recursive: true, force: true });
  const link = join(scene.folder, 'link.db');
  symlinkSync(scene.database, link);
  const shipper = await scene.ship({ database: link, restore: 'if-missing' });
  assertSameBytes(readFileSync(scene.database), image);
  await shipper.stop();
});

test('a file with two names is refused: with the holder’s pid where it is shipped already', async () => {
  await using scene = new Scene();
  const db = ready(scene.database);
  const shipper = await scene.ship();
  const other = join(scene.folder, 'other.db');
  linkSync(scene.database, other);
  const holder = String(scene.holder());
  await assert.rejects(scene.ship({ database: other }), code('ALREADY_SHIPPED', new RegExp(holder)));
  db.exec('INSERT INTO t (b) VALUES (1)');
  await shipper.sync();
  await shipper.stop();
  await assert.rejects(scene.ship({ database: other }), code('HARD_LINKED', /hard links/));
  rmSync(other);
  const again = await scene.ship();
  await again.stop();
  db.close();
});

test('paths with every odd character are shipped and restored', async () => {
  await using scene = new Scene();
  for (const name of [
    'with space',
    'quo"te\'s',
    '100%25 #1?x=y&z',
    'ünïcode-日本-🦭',
    'new\nline',
    '-dash',
    'back\\slash',
  ]) {
    const folder = join(scene.folder, name);
    mkdirSync(folder);
    const database = join(folder, `${name}.db`);
    const db = ready(database);
    const replica = join(folder, 'bucket');
    const shipper = await scene.ship({ database, replica });
    db.exec('INSERT INTO t (b) VALUES (1)');
    await shipper.sync();
    await shipper.stop();
    db.close();
    scene.bucket = replica;
    assertSameBytes(readFileSync((await scene.restore()).path), readFileSync(database), name);
  }
  await assert.rejects(scene.ship({ database: join(scene.folder, 'ends with a space ') }), code('DATABASE_PATH'));
});

test('what is no database, and what is encrypted, is refused in words', async () => {
  await using scene = new Scene();
  const db = ready(scene.database);
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
  const plain = readFileSync(scene.database);
  // SQLCipher writes its salt where the header begins; with a header in plain text the rest of page 1 is cipher text.
  for (const [from, expected] of [
    [0, 'DATABASE_NOT_SQLITE'],
    [32, 'DATABASE_ENCRYPTED'],
  ] as const) {
    const opaque = Buffer.from(plain);
    for (let at = from; at < 4096; at++) opaque[at] = (at * 167 + 13) & 0xff;
    writeFileSync(scene.database, opaque);
    await assert.rejects(scene.ship(), code(expected, /encrypted/i));
    assertSameBytes(readFileSync(scene.database), opaque, 'nothing was written to it');
  }
});

test('libraries with the WAL-reset bug are told from those without', () => {
  for (const bad of ['3.7.0', '3.44.5', '3.45.9', '3.50.6', '3.51.2']) assert.ok(hasWalResetBug(bad), bad);
  for (const good of ['3.44.6', '3.50.7', '3.51.3', '3.52.0', '3.53.1', '4.0.0'])
    assert.ok(!hasWalResetBug(good), good);
});

test('nothing keeps running after a refusal', async () => {
  await using scene = new Scene();
  writeFileSync(scene.database, 'no database '.repeat(100));
  await assert.rejects(scene.ship(), code('DATABASE_NOT_SQLITE'));
  assert.ok(!alive(scene.holder()));
});
