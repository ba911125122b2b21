/** The ranges that `list` shows: both ends of each can be restored, and nothing between two of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeawallError } from '../../replica/terms/errors.ts';
import { planRestore } from '../../replica/plan/plan.ts';
import { restorableRanges } from '../../replica/plan/ranges.ts';
import { memoryStore } from '../../replica/store/memory.ts';
import { formatTime, parseTarget } from '../../replica/terms/target.ts';
import { loadTimeline } from '../../replica/catalogue/timeline.ts';
import { buildHistory, positionOf } from '../history/history.ts';

const OPTIONS = { seed: 77, commits: 40, codec: 'lz4', checkpoints: 0.3, snapshots: 1, pause: 3000 } as const;

async function gapped() {
  const store = memoryStore();
  const history = await buildHistory(store, { ...OPTIONS, cut: { notRestorable: 0 } });
  const [{ id, states }] = [history.generations[0]!];
  assert.ok(states.at(-1)!.index >= 3, 'indexes enough to take one out');
  const gone: string[] = [];
  for await (const { key } of store.list(`generations/${id}/wal/00000001_`)) gone.push(key);
  await store.delete(gone);
  return { store, states, timeline: await loadTimeline(store), id };
}

const at = (id: string, index: number): string => `${id}/0000000${index}/00000000`;

test('missing WAL splits the range; each end can be restored, and a moment between them cannot', async () => {
  const { store, states, timeline, id } = await gapped();
  const ranges = await restorableRanges(store, timeline.generations[0]!);
  const last = states.findLast((state) => state.marked)!;
  assert.deepEqual(
    ranges.map(({ first, last: end }) => [first.position, end.position]),
    [
      [at(id, 0), at(id, 1)],
      [at(id, 2), positionOf(last)],
    ],
  );
  for (const { first, last: end } of ranges) {
    for (const { position, time } of [first, end]) {
      const plan = await planRestore(store, timeline, parseTarget(position));
      assert.equal(formatTime(plan.time), formatTime(time));
    }
  }
  const lost = states.find((state) => state.index === 1 && state.time > ranges[0]!.last.time)!;
  await assert.rejects(planRestore(store, timeline, parseTarget(positionOf(lost))), SeawallError);
});

test('below the floor of retention each snapshot is only its own moment', async () => {
  const { store, timeline, id } = await gapped();
  const ranges = await restorableRanges(store, timeline.generations[0]!, 2);
  assert.deepEqual(
    ranges.slice(0, 2).map(({ first, last }) => [first.position, last.position]),
    [
      [at(id, 0), at(id, 0)],
      [at(id, 1), at(id, 1)],
    ],
  );
  assert.equal(ranges[2]!.first.position, at(id, 2));
  assert.equal(ranges.length, 3);
});
