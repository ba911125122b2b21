/** The proofs of first light see what is wrong: each is given a database that is not the one expected. */
import Database from 'better-sqlite3';
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { Account } from '../../examples/first-light/account.ts';
import { somePlaces } from '../../examples/first-light/gazetteer.ts';
import { checksumOf, proveDatabase, sha256Of, type Expected } from '../../examples/first-light/proofs.ts';
import { Writer } from '../../examples/first-light/writer.ts';
import { formatChecksum, PageHashes } from '../../replica/format/page-hashes.ts';
import { Scratch } from '../history/scratch.ts';

interface Sound {
  readonly path: string;
  readonly expected: Expected;
}

function sound(scratch: Scratch): Sound {
  const path = scratch.file();
  const db = new Database(path);
  const writer = new Writer(db, somePlaces(2000));
  writer.load(1000);
  for (let i = 0; i < 10; i++) writer.work();
  db.close();
  const file = readFileSync(path);
  const expected = {
    checksum: checksumOf(file),
    recorded: 'here',
    totals: writer.totals,
    sha256: sha256Of(file),
  };
  return { path, expected };
}

/** Names of the proofs that did not hold. */
function failures(path: string, expected: Expected): string[] {
  return proveDatabase(path, expected)
    .filter(({ held }) => !held)
    .map(({ name }) => name);
}

test('every proof holds for the database that is expected', () => {
  using scratch = new Scratch();
  const { path, expected } = sound(scratch);
  assert.equal(proveDatabase(path, expected).length, 5);
  assert.deepEqual(failures(path, expected), []);
});

test('the checksum that the proofs compute is the one of the format', () => {
  using scratch = new Scratch();
  const { path, expected } = sound(scratch);
  const file = readFileSync(path);
  const hashes = new PageHashes(4096);
  for (let page = 1; page <= file.length / 4096; page++)
    hashes.set(page, file.subarray((page - 1) * 4096, page * 4096));
  hashes.commit(file.length / 4096);
  assert.equal(expected.checksum, formatChecksum(hashes.checksum));
});

test('one flipped bit anywhere is seen', () => {
  using scratch = new Scratch();
  const { path, expected } = sound(scratch);
  const file = readFileSync(path);
  for (const at of [200, 4096 * 3 + 17, file.length >> 1, file.length - 1]) {
    const flipped = Buffer.from(file);
    flipped[at]! ^= 1;
    const damaged = scratch.file();
    writeFileSync(damaged, flipped);
    const failed = failures(damaged, expected);
    assert.ok(failed.includes('checksum') && failed.includes('every byte'), `byte ${at}: ${failed.join()}`);
  }
});

test('pages that are swapped, missing or too many are seen', () => {
  using scratch = new Scratch();
  const { path, expected } = sound(scratch);
  const file = readFileSync(path);
  const [a, b] = [file.subarray(4096, 8192), file.subarray(8192, 12288)];
  const variants = {
    swapped: Buffer.concat([file.subarray(0, 4096), b, a, file.subarray(12288)]),
    missing: file.subarray(0, -4096),
    extra: Buffer.concat([file, a]),
    cut: file.subarray(0, -100),
  };
  for (const [name, bytes] of Object.entries(variants)) {
    const damaged = scratch.file();
    writeFileSync(damaged, bytes);
    assert.ok(failures(damaged, expected).includes('checksum'), name);
  }
});

test('rows that are lost behind the journal are seen, and so is an older state', () => {
  using scratch = new Scratch();
  const { path, expected } = sound(scratch);
  const other = scratch.file();
  copyFileSync(path, other);
  const db = new Database(other);
  db.exec('DELETE FROM visits WHERE id = (SELECT max(id) FROM visits)');
  db.close();
  assert.deepEqual(failures(other, expected), ['checksum', 'every byte', 'journal', 'rows']);

  const older = { ...expected.totals, commits: expected.totals.commits + 1 };
  assert.deepEqual(failures(path, { ...expected, totals: older }), ['rows']);
  assert.deepEqual(failures(path, { ...expected, checksum: '0000000000000000' }), ['checksum']);
});

test('what is no database, or not there, fails every proof and throws nothing', () => {
  using scratch = new Scratch();
  const { path, expected } = sound(scratch);
  truncateSync(path, 0);
  assert.ok(failures(path, expected).includes('checksum'));
  writeFileSync(path, 'not a database at all, but long enough to have a header of a hundred bytes; '.repeat(60));
  assert.equal(failures(path, expected).length, 5);
  assert.equal(failures(scratch.file(), expected).length, 5);
});

test('the account counts proofs that did not hold, on which the exit code depends', () => {
  using scratch = new Scratch();
  const { path, expected } = sound(scratch);
  const quiet = Object.assign(Object.create(process.stderr) as NodeJS.WriteStream, { write: () => true });
  const silent = new Account(quiet, { NO_COLOR: '1' });
  silent.prove(proveDatabase(path, expected));
  assert.deepEqual([silent.proofs, silent.failed], [5, 0]);
  silent.prove(proveDatabase(path, { ...expected, checksum: '0000000000000000' }));
  assert.deepEqual([silent.proofs, silent.failed], [10, 1]);
});
