/** The planner's choices, on inventories made by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_WAL } from '../../../replica/catalogue/floors.ts';
import type { Inventory, StockedGeneration } from '../../../replica/retention/inventory.ts';
import { deletionOrder, planRetention } from '../../../replica/retention/planner.ts';
import { DEFAULT_RETENTION, periodOf, retentionPolicy } from '../../../replica/retention/policy.ts';

const DAY = 86_400_000;
const START = Date.UTC(2026, 0, 1, 12);
const NONE = { window: 0, daily: 0, weekly: 0, monthly: 0, grace: 0 };

/** A snapshot a day, and two segments of WAL behind each. */
function daily(id: string, firstDay: number, days: number): StockedGeneration {
  const at = (i: number): number => START + (firstDay + i) * DAY;
  const indexes = Array.from({ length: days }, (_, i) => i);
  return {
    id,
    snapshots: indexes.map((i) => ({ key: `${id}/s${i}`, index: i, size: 100, time: at(i), lastModified: at(i) })),
    segments: indexes.flatMap((i) =>
      [0, 4152].map((offset) => ({ key: `${id}/w${i}+${offset}`, index: i, offset, size: 10, lastModified: at(i) })),
    ),
  };
}

function inventory(generations: readonly StockedGeneration[], more: Partial<Inventory> = {}): Inventory {
  return { generations, current: generations.at(-1)?.id, named: new Set(), floors: new Map(), ...more };
}

function kept(generations: readonly StockedGeneration[], policy: object, now: number): string[] {
  const plan = planRetention(inventory(generations), retentionPolicy({ ...NONE, ...policy }), now);
  assert.deepEqual(plan.refusals, []);
  const all = generations.flatMap(({ snapshots, segments }) => [...snapshots, ...segments].map(({ key }) => key));
  assert.deepEqual([...plan.keep, ...plan.delete].map(({ key }) => key).sort(), all.sort());
  return plan.keep.map(({ key }) => key).filter((key) => key.includes('/s')).sort(); // prettier-ignore
}

test('days, ISO weeks and months are told apart in UTC', () => {
  const cases: [string, string, string, string][] = [
    ['2026-01-01T00:00:00Z', '2026-01-01', '2026-W01', '2026-01'],
    ['2025-12-29T00:00:00Z', '2025-12-29', '2026-W01', '2025-12'],
    ['2025-12-28T23:59:59Z', '2025-12-28', '2025-W52', '2025-12'],
    ['2027-01-03T12:00:00Z', '2027-01-03', '2026-W53', '2027-01'],
    ['2027-01-04T00:00:00Z', '2027-01-04', '2027-W01', '2027-01'],
    ['2024-02-29T10:00:00Z', '2024-02-29', '2024-W09', '2024-02'],
  ];
  for (const [text, day, week, month] of cases) {
    const time = Date.parse(text);
    assert.deepEqual(
      [periodOf('daily', time), periodOf('weekly', time), periodOf('monthly', time)],
      [day, week, month],
    );
  }
});

test('policies are checked, and errors name the field', () => {
  assert.deepEqual(retentionPolicy(), DEFAULT_RETENTION);
  assert.throws(() => retentionPolicy({ daily: -1 }), /retention\.daily/);
  assert.throws(() => retentionPolicy({ window: 1.5 }), /retention\.window/);
  assert.throws(() => retentionPolicy({ hourly: 3 } as object), /hourly/);
});

test('the window keeps its base: the newest snapshot before its start', () => {
  const generation = daily('a', 0, 10);
  const now = START + 9.5 * DAY;
  assert.deepEqual(kept([generation], { window: 2 * DAY }, now), ['a/s7', 'a/s8', 'a/s9']);
  assert.deepEqual(kept([generation], { window: 0 }, now), ['a/s9']);
  assert.equal(kept([generation], { window: 99 * DAY }, now).length, 10);
});

test('a snapshot that was written within the window is not its base, though the state in it is older', () => {
  const generation = daily('a', 0, 10);
  const snapshots = generation.snapshots.map((s) => ({ ...s, lastModified: s.time + DAY }));
  const now = START + 9.5 * DAY;
  assert.deepEqual(kept([{ ...generation, snapshots }], { window: 2 * DAY }, now), ['a/s6', 'a/s7', 'a/s8', 'a/s9']);
});

test('the base may lie in an older generation, of which nothing after it goes', () => {
  const generations = [daily('a', 0, 5), daily('b', 5, 5)];
  const now = START + 9.5 * DAY;
  assert.deepEqual(kept(generations, { window: 6 * DAY }, now), [
    'a/s3',
    'a/s4',
    'b/s0',
    'b/s1',
    'b/s2',
    'b/s3',
    'b/s4',
  ]);
  const plan = planRetention(inventory(generations), retentionPolicy({ ...NONE, window: 6 * DAY }), now);
  assert.deepEqual([...plan.floors], [['a', 3]]);
  const younger = planRetention(inventory(generations), retentionPolicy({ ...NONE, window: DAY }), now);
  assert.deepEqual([...younger.floors], [['a', NO_WAL], ['b', 3]]); // prettier-ignore
});

test('thinning keeps the newest snapshot of each period that has one, across generations', () => {
  const generations = [daily('a', 0, 40), daily('b', 45, 20)];
  const now = START + 65 * DAY;
  assert.deepEqual(kept(generations, { daily: 3 }, now), ['b/s17', 'b/s18', 'b/s19']);
  // 1 January 2026 is a Thursday; b ends on 6 March.
  assert.deepEqual(kept(generations, { monthly: 12 }, now), ['a/s30', 'b/s13', 'b/s19']);
  assert.deepEqual(kept(generations, { weekly: 4 }, now), ['b/s0', 'b/s14', 'b/s19', 'b/s7'].sort());
});

test('the newest chain of the current generation stays, however old, also when a newer generation exists', () => {
  const generations = [daily('a', 0, 5), daily('b', 5, 5)];
  const now = START + 900 * DAY;
  assert.deepEqual(kept(generations, {}, now), ['b/s4']);
  const plan = planRetention(inventory(generations, { current: 'a' }), retentionPolicy(NONE), now);
  const keys = plan.keep.map(({ key }) => key);
  for (const key of ['a/s4', 'a/w4+0', 'a/w4+4152']) assert.ok(keys.includes(key), key);
});

test('a base that was made within the grace period does not take the older one from a running restore', () => {
  const whole = daily('a', 0, 6);
  const now = START + 30 * DAY;
  const policy = retentionPolicy({ ...NONE, grace: 3_600_000 });
  const dated = (age: number): StockedGeneration => ({
    ...whole,
    snapshots: [whole.snapshots[0]!, { ...whole.snapshots[5]!, lastModified: now - age }],
  });
  const fresh = planRetention(inventory([dated(600_000)]), policy, now);
  assert.deepEqual([fresh.delete, [...fresh.floors]], [[], []]);
  const settled = planRetention(inventory([dated(3_600_001)]), policy, now);
  assert.deepEqual([...settled.floors], [['a', 5]]);
  assert.equal(settled.delete.length, 11);
});

test('while an older generation keeps WAL, a younger one is kept whole', () => {
  const generations = [daily('a', 0, 5), daily('b', 5, 5)];
  const [a] = generations;
  const now = START + 20 * DAY;
  const young = { ...a!, segments: a!.segments.map((s) => (s.index === 3 ? { ...s, lastModified: now } : s)) };
  const plan = planRetention(inventory([young, generations[1]!]), retentionPolicy({ ...NONE, grace: 1 }), now);
  assert.deepEqual([...plan.floors], [['a', 3]]);
  assert.ok(plan.delete.every(({ key }) => key.startsWith('a/')));
});

test('deletion takes the snapshots first, oldest first, then WAL from its end, offset 0 last within an index', () => {
  const { snapshots, segments } = daily('a', 0, 3);
  const order = deletionOrder([...snapshots, ...segments]).map(({ key }) => key.slice(2));
  assert.deepEqual(order, ['s0', 's1', 's2', 'w2+4152', 'w2+0', 'w1+4152', 'w1+0', 'w0+4152', 'w0+0']);
});

test('a generation that has its snapshot and no WAL yet has no hole', () => {
  const idle = { ...daily('b', 5, 1), segments: [] };
  const policy = retentionPolicy({ ...NONE, window: DAY });
  const plan = planRetention(inventory([daily('a', 0, 5), idle]), policy, START + 20 * DAY);
  assert.deepEqual(plan.refusals, []);
  assert.deepEqual(plan.keep.map(({ key }) => key), ['b/s0']); // prettier-ignore
});

test('holes: inside the window refused, below the floor not', () => {
  const whole = daily('a', 0, 6);
  const holed = {
    ...whole,
    snapshots: whole.snapshots.slice(0, 1),
    segments: whole.segments.filter(({ index }) => index !== 2),
  };
  const policy = retentionPolicy({ ...NONE, window: 30 * DAY });
  const refused = planRetention(inventory([holed]), policy, START + 6 * DAY);
  assert.deepEqual([refused.refusals.map(({ code }) => code), refused.delete], [['WINDOW_HOLE'], []]);
  const floors = new Map([['a', 4]]);
  const kept = { ...whole, segments: whole.segments.filter(({ index }) => index >= 4) };
  assert.deepEqual(planRetention(inventory([kept], { floors }), policy, START + 6 * DAY).refusals, []);
  const orphaned = { ...whole, snapshots: whole.snapshots.slice(2) };
  const lost = planRetention(inventory([orphaned]), policy, START + 6 * DAY);
  assert.deepEqual(lost.refusals.map(({ code }) => code), ['WINDOW_HOLE']); // prettier-ignore
});
