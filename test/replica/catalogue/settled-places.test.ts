/** Two objects of one place: either one of equal WAL bytes, else the one that the WAL continues. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readClaim } from '../../../replica/catalogue/claim.ts';
import { loadTimeline } from '../../../replica/catalogue/timeline.ts';
import { codec } from '../../../replica/format/codec.ts';
import { decodeSegment, encodeSegment, parseSegmentHeader } from '../../../replica/format/segment.ts';
import { restore } from '../../../replica/restore/restore.ts';
import { memoryStore } from '../../../replica/store/memory.ts';
import { segmentKey } from '../../../replica/terms/layout.ts';
import { parseTarget } from '../../../replica/terms/target.ts';
import { verify } from '../../../replica/verification/verify.ts';
import { buildHistory, hashOf, positionOf, type History } from '../../history/history.ts';
import { Scratch } from '../../history/scratch.ts';
import { Seeded } from '../../history/seeded.ts';

async function restoresAll(store: ReturnType<typeof memoryStore>, history: History): Promise<void> {
  using scratch = new Scratch();
  for (const [at, state] of history.states.entries()) {
    if (!state.restorable || !state.marked) continue;
    const path = join(scratch.path, `${at}.db`);
    await restore(store, path, { target: parseTarget(positionOf(state)) });
    assert.equal(hashOf(readFileSync(path)), state.hash, positionOf(state));
  }
  const path = join(scratch.path, 'latest.db');
  await restore(store, path);
  assert.equal(hashOf(readFileSync(path)), history.states.findLast(({ restorable }) => restorable)!.hash);
}

for (const seed of [1, 2, 3, 4]) {
  test(`a segment that is there in both codecs is one segment (seed ${seed})`, async () => {
    const store = memoryStore();
    const history = await buildHistory(store, { seed, commits: 25, codec: 'lz4', control: true, checkpoints: 0.2 });
    const generation = (await loadTimeline(store)).current!;
    const random = new Seeded(seed);
    for (const { index, offset } of generation.segments.filter(() => random.chance(0.4))) {
      const { body } = await store.get(segmentKey(generation.id, index, offset, 'lz4'));
      const header = parseSegmentHeader(body);
      assert.ok(header !== undefined && !('needs' in header));
      const raw = decodeSegment(body, header, 'lz4');
      await store.put(segmentKey(generation.id, index, offset, 'zstd'), encodeSegment(header, raw, codec('zstd', 1)));
    }
    await restoresAll(store, history);
  });

  test(`of a segment of a former shipper with another codec nothing is replayed (seed ${seed})`, async () => {
    const store = memoryStore();
    const history = await buildHistory(store, { seed, commits: 25, codec: 'lz4', control: true, checkpoints: 0.2 });
    const generation = (await loadTimeline(store)).current!;
    const { claim } = (await readClaim(store))!;
    assert.equal(claim.generation, generation.id);
    const random = new Seeded(seed);
    const { index, offset } = random.pick(generation.segments);
    const { body } = await store.get(segmentKey(generation.id, index, offset, 'lz4'));
    const header = parseSegmentHeader(body);
    assert.ok(header !== undefined && !('needs' in header));
    // It begins where this one does, and leads to another state, from which it goes on in the same index.
    const raw = decodeSegment(body, header, 'lz4');
    const mark = { ...header.before, checksum: 7n, offset: offset + raw.length, restorable: true };
    const stray = { ...header, marks: [mark], endsOnCommit: true };
    await store.put(segmentKey(generation.id, index, offset, 'zstd'), encodeSegment(stray, raw, codec('zstd', 1)));
    const isLast = generation.segments.at(-1)!.index === index && generation.segments.at(-1)!.offset === offset;
    if (!isLast) await restoresAll(store, history);
    const { problems } = await verify(store);
    assert.deepEqual(problems.filter(({ code }) => code !== 'STRAY_SEGMENT'), []); // prettier-ignore
  });
}
