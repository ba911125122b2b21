/** Every module system can load the package, as it is built. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '../..');

test('CommonJS can require the shipper and the replica: nothing in them waits while it is loaded', () => {
  const script = `
    const { Shipper, Fleet } = require('./shipper/index.ts');
    const { restore, openStore } = require('./replica/index.ts');
    console.log([Shipper, Fleet, restore, openStore].map((each) => typeof each).join());
  `;
  const printed = execFileSync(process.execPath, ['--input-type=commonjs', '-e', script], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  assert.equal(printed.trim(), 'function,function,function,function');
});

test('no module that users load awaits at its top level', () => {
  for (const house of ['replica', 'shipper', 'functions', 'infra']) {
    for (const name of readdirSync(join(ROOT, house), { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts') || name.endsWith('bundle-functions.ts')) continue;
      const source = readFileSync(join(ROOT, house, name), 'utf8');
      assert.doesNotMatch(source, /^(?:(?:export )?(?:const|let) [^=\n]*= )?await /m, `${house}/${name}`);
    }
  }
});
