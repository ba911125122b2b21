import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..');

test('every invariant names a test that exists', () => {
  const text = readFileSync(join(root, 'docs/INVARIANTS.md'), 'utf8');
  const rows = [...text.matchAll(/^\| ([A-Z]\d+) +\|.*\| `([^`]+)`: (.+?) +\|$/gm)];
  assert.ok(rows.length > 20, `${rows.length} rows found`);
  assert.equal(new Set(rows.map(([, number]) => number)).size, rows.length, 'numbers are unique');
  for (const [, number, file = '', name = ''] of rows) {
    const source = readFileSync(join(root, file), 'utf8');
    assert.ok(source.includes(name.replace(/\\\|/g, '|')), `${number}: ${file} has no test "${name}"`);
  }
});

test('every premise about the files names a test that exists', () => {
  const text = readFileSync(join(root, 'docs/PREMISES.md'), 'utf8');
  const rows = [...text.matchAll(/^\| (F\d+) +\|.*\| `([^`]+)`: (.+?) +\|$/gm)];
  assert.equal(rows.length, [...text.matchAll(/^\| F\d+ /gm)].length);
  assert.ok(rows.length >= 8);
  for (const [, number, file = '', name = ''] of rows) {
    assert.ok(readFileSync(join(root, file), 'utf8').includes(name), `${number}: ${file} has no test "${name}"`);
  }
});
