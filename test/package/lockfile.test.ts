/** A clone installs with Node.js and npm alone. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

test('the lockfile says that better-sqlite3 is not to be compiled', () => {
  const lock = JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly gypfile?: boolean }>>;
  };
  assert.equal(lock.packages['node_modules/better-sqlite3']?.gypfile, false, 'run `npm run lock`');
});
