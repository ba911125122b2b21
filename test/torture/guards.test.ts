/** Every guard can still be broken: a renamed or rewritten line would leave it without its proof. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { broken, GUARDS } from './guard-edits.ts';

const ROOT = join(import.meta.dirname, '../..');

for (const [name, { edits }] of Object.entries(GUARDS)) {
  test(`the guard "${name}" is in the sources exactly once`, () => {
    assert.ok(edits.length > 0);
    for (const edit of edits) {
      const text = readFileSync(join(ROOT, edit.file), 'utf8');
      assert.notEqual(broken(text, edit), text, edit.file);
    }
  });
}

test('a guard whose text is gone, or is there twice, is named', () => {
  const edit = { file: 'a.ts', intact: 'guard();', broken: '' };
  assert.equal(broken('before(); guard(); after();', edit), 'before();  after();');
  assert.throws(() => broken('watch();', edit), /a\.ts has this 0 times, not once: guard\(\);/u);
  assert.throws(() => broken('guard(); guard();', edit), /a\.ts has this 2 times/u);
});
