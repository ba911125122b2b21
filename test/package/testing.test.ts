/** `seawall/testing` as the author of another store uses it: by its name, in a test file of its own. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Scratch } from '../history/scratch.ts';

const FROM_SOURCE = new URL('../examples/from-source.ts', import.meta.url).href;

/** A store of the user's: a folder, with every request counted. `fault` replaces methods. */
const userTest = (fault: string): string => `
  import { mkdtempSync, rmSync } from 'node:fs';
  import { join } from 'node:path';
  import { openStore } from 'seawall/replica';
  import { storeConformance } from 'seawall/testing';

  async function countingStore(folder) {
    const inner = await openStore(folder);
    const store = { requests: 0, url: inner.url, limits: inner.limits };
    for (const name of ['head', 'get', 'stream', 'list', 'folders', 'put', 'upload', 'delete', 'probeConditions', 'unfinished', 'close']) {
      store[name] = (...args) => {
        store.requests++;
        return inner[name](...args);
      };
    }
    return Object.assign(store, (${fault})(inner));
  }

  let requests = 0;
  storeConformance('counting', () => countingStore(mkdtempSync(join(import.meta.dirname, 'store-'))), {
    close: async (store) => {
      requests += store.requests;
      await store.close();
      rmSync(new URL(store.url), { recursive: true });
    },
  });
  process.on('exit', () => console.log('requests: ' + requests));
`;

interface Outcome {
  readonly status: number | null;
  readonly output: string;
}

function runUserTest(scratch: Scratch, fault: string): Outcome {
  const file = join(scratch.path, 'my-store.test.mjs');
  writeFileSync(file, userTest(fault));
  const env = { ...process.env };
  delete env['NODE_TEST_CONTEXT']; // else the child reports to this test's runner
  const args = ['--no-warnings', '--import', FROM_SOURCE, '--test-reporter', 'tap', file];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env, maxBuffer: 64 << 20 });
  return { status, output: stdout + stderr };
}

test('a store that keeps the contract passes, and the close of the options is called for each test', () => {
  using scratch = new Scratch();
  const { status, output } = runUserTest(scratch, '() => ({})');
  assert.equal(status, 0, output);
  for (const part of ['whole objects', 'ranges and streams', 'conditions', 'lists', 'writes in parts', 'scoped']) {
    assert.ok(output.includes(`# Subtest: counting: ${part}`), part);
  }
  assert.ok(Number(/requests: (\d+)/.exec(output)?.[1]) > 2300, 'the wrapper was used');
});

for (const [fault, part] of [
  ['(inner) => ({ put: (key, body) => inner.put(key, body) })', 'conditions'],
  ['(inner) => ({ head: async (key) => (await inner.head(key)) ?? null })', 'whole objects'],
  [
    '(inner) => ({ list: async function* (prefix) { for await (const each of inner.list(prefix)) yield each; } })',
    'lists',
  ],
] as const) {
  test(`a store that breaks the contract fails, by the part that it breaks: ${part}`, () => {
    using scratch = new Scratch();
    const { status, output } = runUserTest(scratch, fault);
    assert.notEqual(status, 0);
    assert.match(output, new RegExp(`^not ok \\d+ - counting: ${part}`, 'm'));
  });
}

test('the package exports what the suite is built to', () => {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    readonly exports: Readonly<Record<string, unknown>>;
    readonly files: readonly string[];
  };
  const build = readFileSync(new URL('../../tsconfig.build.json', import.meta.url), 'utf8');
  assert.deepEqual(manifest.exports['./testing'], {
    types: './dist/testing/index.d.ts',
    default: './dist/testing/index.js',
  });
  assert.ok(manifest.files.includes('dist'));
  assert.match(build, /"include": \[.*"testing".*\]/);
});
