import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openStore, verify } from '../../replica/index.ts';
import { Scratch } from '../history/scratch.ts';
import { startExample } from './run.ts';

const SMALL = ['--places', '5000', '--seconds', '5'];

test('first light holds every proof, twice in the same folder, and leaves a whole replica behind', async () => {
  using scratch = new Scratch();
  for (const round of ['first', 'second']) {
    const { code, out, err } = await startExample('first-light/main.ts', SMALL, scratch.path).ended;
    assert.equal(code, 0, `${round} run:\n${out}${err}`);
    assert.equal(err, '');
    assert.ok(!out.includes('✗'), out);
    for (const proof of ['checksum', 'every byte', 'integrity', 'journal', 'rows', 'promise', 'verify', 'upkeep']) {
      assert.match(out, new RegExp(`✓ ${proof} `), out);
    }
    assert.match(out, /All \d+ proofs held/);
    assert.ok(!out.includes('\u001b'), 'no colours where there is no terminal');
    assert.match(out, /npx seawall restore first-light\/bucket\/gazetteer -o first-light\/again\.db/);
  }
  const folder = join(scratch.path, 'first-light');
  assert.ok(!existsSync(join(folder, 'gazetteer.db')), 'the lost database is gone');
  const store = await openStore(join(folder, 'bucket', 'gazetteer'));
  assert.deepEqual((await verify(store)).problems, []);
  await store.close();
});

test('first light fails when a byte of a snapshot is flipped before the proofs', async () => {
  using scratch = new Scratch();
  const running = startExample('first-light/main.ts', ['--places', '5000', '--seconds', '2'], scratch.path);
  await running.printed('killed in mid-write');
  const generations = join(scratch.path, 'first-light/bucket/gazetteer/generations');
  const snapshots = join(generations, readdirSync(generations)[0]!, 'snapshots');
  const newest = readdirSync(snapshots)
    .filter((name) => !name.startsWith('.'))
    .sort()
    .at(-1)!;
  const file = readFileSync(join(snapshots, newest));
  file[file.length >> 1]! ^= 1;
  writeFileSync(join(snapshots, newest), file);
  const { code, out } = await running.ended;
  assert.equal(code, 1, out);
  assert.match(out, new RegExp(`Failed: .*${newest}|✗ verify +\\S*${newest}`), 'the damaged object is named');
});

test('first light leaves a folder alone that it did not make', async () => {
  using scratch = new Scratch();
  const folder = join(scratch.path, 'first-light');
  mkdirSync(folder);
  writeFileSync(join(folder, 'mine.txt'), 'not to be lost');
  const { code, out } = await startExample('first-light/main.ts', SMALL, scratch.path).ended;
  assert.equal(code, 1);
  assert.match(out, /was not made by an earlier run/);
  assert.deepEqual(readdirSync(folder), ['mine.txt']);
});

test('first light names an option that is wrong', async () => {
  using scratch = new Scratch();
  const { code, out } = await startExample('first-light/main.ts', ['--seconds', 'soon'], scratch.path).ended;
  assert.equal(code, 1);
  assert.match(out, /--seconds must be a whole number from 1 to 600, not "soon"/);
});
