/** The package's bin on a Node.js that is too old, without a build, and with one. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { Scratch } from '../history/scratch.ts';

const ENTRY = fileURLToPath(new URL('../../cli/seawall.js', import.meta.url));

/** A package of which only the bin is there. */
function unbuilt(scratch: Scratch): string {
  const entry = join(scratch.path, 'cli', 'seawall.js');
  mkdirSync(join(scratch.path, 'cli'));
  writeFileSync(join(scratch.path, 'package.json'), '{"type":"module"}');
  copyFileSync(ENTRY, entry);
  return entry;
}

test('an old Node.js gets one clear line', () => {
  for (const version of ['12.22.0', '20.19.5', '22.14.9']) {
    const pretend = `Object.defineProperty(process,'versions',{value:{...process.versions,node:'${version}'}})`;
    const args = ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`, ENTRY, '--help'];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    assert.deepEqual([status, stdout], [1, '']);
    assert.equal(stderr, `seawall needs Node.js 22.15 or newer; this is ${version}. Install a newer one.\n`);
  }
});

test('without a build it says how to make one; an error inside the build is not mistaken for that', () => {
  using scratch = new Scratch();
  const entry = unbuilt(scratch);
  const run = () => spawnSync(process.execPath, [entry], { encoding: 'utf8' });
  const missing = run();
  assert.deepEqual([missing.status, missing.stdout], [1, '']);
  assert.match(missing.stderr, /^seawall is not built here: run "npm run build"/);
  mkdirSync(join(scratch.path, 'dist', 'cli'), { recursive: true });
  const main = join(scratch.path, 'dist', 'cli', 'main.js');
  writeFileSync(main, `import './not-there.js';`);
  const broken = run();
  assert.equal(broken.status, 1);
  assert.match(broken.stderr, /not-there\.js/);
  assert.doesNotMatch(broken.stderr, /not built/);
  writeFileSync(main, 'process.exitCode = 3;');
  assert.equal(run().status, 3);
});
