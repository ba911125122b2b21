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

test('on an old Node.js every entry point says that one line, whatever that Node.js cannot link', () => {
  for (const entry of ['shipper', 'replica', 'infra']) {
    // Such a Node.js has no node:sqlite, and no such exports.
    const script = `
      import { registerHooks } from 'node:module';
      const missing = { 'node:zlib': ['crc32'], 'node:fs': ['globSync'], 'node:fs/promises': ['glob'] };
      registerHooks({
        resolve(specifier, context, next) {
          if (specifier === 'node:sqlite') throw new Error('no such module');
          if (!(specifier in missing) || context.parentURL?.startsWith('data:')) return next(specifier, context);
          const names = Object.keys(process.getBuiltinModule(specifier)).filter(
            (name) => !missing[specifier].includes(name) && name !== 'default',
          );
          const source = \`export { default, \${names.join()} } from '\${specifier}';\`;
          return { url: \`data:text/javascript,\${encodeURIComponent(source)}\`, shortCircuit: true };
        },
      });
      Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.9.0' } });
      const error = await import('./${entry}/index.ts').catch((error) => error);
      console.log(error.message);
    `;
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    assert.equal(printed, 'seawall needs Node.js 22.15 or newer; this is 20.9.0. Install a newer one.\n', entry);
  }
});

test('no module that users load awaits at its top level', () => {
  for (const house of ['replica', 'shipper', 'functions', 'infra', 'testing']) {
    for (const name of readdirSync(join(ROOT, house), { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts') || name.endsWith('bundle-functions.ts')) continue;
      const source = readFileSync(join(ROOT, house, name), 'utf8');
      assert.doesNotMatch(source, /^(?:(?:export )?(?:const|let) [^=\n]*= )?await /m, `${house}/${name}`);
    }
  }
});
