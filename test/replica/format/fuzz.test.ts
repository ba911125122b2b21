/** Mutated objects are refused by name, or do no harm. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rerunnable, seeds } from '../../history/seeded.ts';
import { fuzz } from '../../torture/fuzz.ts';

test('mutated segments, snapshots and control objects are refused by name, or harmless', async () => {
  const refused = new Set<string>();
  for (const seed of seeds(1, 1 + Math.floor(Math.random() * 1e6))) {
    await rerunnable(seed, 'test/replica/format/fuzz.test.ts', async () => {
      for (const code of Object.keys((await fuzz(seed, 300)).refused)) refused.add(code);
    });
  }
  // Of each layer something: a fuzzer that does not get past the checksums shows little. What a seed's objects lack (a
  // segment with one commit has no marks) another one's have.
  for (const code of ['SEGMENT_CRC', 'SEGMENT_MARKS', 'LZ4_BLOCK', 'SNAPSHOT_PAGE_HASH', 'SEALED_BODY']) {
    assert.ok(refused.has(code), `no mutant was refused with ${code}`);
  }
});
