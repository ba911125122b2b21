/** A generation of 300,000 segments is planned for like a small one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StockedGeneration } from '../../replica/retention/inventory.ts';
import { planRetention } from '../../replica/retention/planner.ts';
import { retentionPolicy } from '../../replica/retention/policy.ts';
import { parseTarget } from '../../replica/terms/target.ts';

const SECOND = 1000;

test('retention plans for 300,000 segments in one generation', () => {
  const count = 300_000;
  const perIndex = 30;
  const id = 'a'.repeat(16);
  const at = (i: number): number => i * SECOND;
  const indexes = Array.from({ length: count / perIndex }, (_, i) => i);
  const generation: StockedGeneration = {
    id,
    snapshots: indexes
      .filter((i) => i % 10 === 0)
      .map((index) => {
        const time = at(index * perIndex);
        return { key: `s${index}`, index, size: 1, time, lastModified: time };
      }),
    segments: indexes.flatMap((index) =>
      Array.from({ length: perIndex }, (_, i) => {
        return { key: `w${index}+${i}`, index, offset: i * 4120, size: 1, lastModified: at(index * perIndex + i) };
      }),
    ),
  };
  const inventory = { generations: [generation], current: id, named: new Set([id]), floors: new Map() };
  for (const window of [0, (count / 2) * SECOND, 2 * count * SECOND]) {
    const policy = retentionPolicy({ window, daily: 0, weekly: 0, monthly: 0, grace: 0 });
    const plan = planRetention(inventory, policy, at(count));
    assert.deepEqual(plan.refusals, []);
    assert.equal(plan.keep.length + plan.delete.length, count + generation.snapshots.length);
  }
});

test('a day or an hour that no calendar has is refused, not taken for another one', () => {
  for (const text of ['2026-02-30T12:00:00Z', '2025-02-29T00:00:00Z', '2026-04-31 10:00:00Z', '2026-05-01T24:00:00Z']) {
    assert.throws(() => parseTarget(text), RangeError, text);
  }
  for (const text of ['2024-02-29T23:59:59Z', '2026-12-31T00:00:00+14:00', '2026-04-30 10:00:00z']) {
    assert.equal(parseTarget(text).kind, 'time', text);
  }
});
