/** Verification finds nothing wrong with sound replicas, and names every damaged object. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { compact } from '../../../replica/compaction/compact.ts';
import { readClaim } from '../../../replica/catalogue/claim.ts';
import { writeFloors } from '../../../replica/catalogue/floors.ts';
import { writeHead, readHead } from '../../../replica/catalogue/head.ts';
import { codec } from '../../../replica/format/codec.ts';
import {
  decodeSegment,
  encodeSegment,
  parseSegmentHeader,
  type SegmentHeader,
} from '../../../replica/format/segment.ts';
import { FLOORS_KEY, HEAD_KEY, parseKey, snapshotKey } from '../../../replica/terms/layout.ts';
import { verify } from '../../../replica/verification/verify.ts';
import { clockedStore, type ClockedStore } from '../../history/clocked-store.ts';
import { buildHistory, positionOf, type History, type HistoryOptions } from '../../history/history.ts';
import { Scratch } from '../../history/scratch.ts';
import { rerunnable, Seeded, seeds } from '../../history/seeded.ts';

const FILE = 'test/replica/verification/verify.test.ts';

async function replica(options: HistoryOptions): Promise<{ store: ClockedStore; history: History }> {
  const store = clockedStore();
  return {
    store,
    history: await buildHistory(store, { control: true, clock: (now) => (store.now = now), ...options }),
  };
}

async function codes(store: ClockedStore): Promise<string[]> {
  return (await verify(store)).problems.map(({ code }) => code);
}

test('sound replicas have no problems, and everything in them is counted', async () => {
  for (const seed of seeds(8, 1000)) {
    await rerunnable(seed, FILE, async () => {
      const { store, history } = await replica({
        seed,
        commits: 25,
        generations: 1 + (seed % 2),
        snapshots: 0.3,
        unfinished: seed % 4 === 0,
        order: seed % 5 === 0 ? 'big' : 'little',
      });
      if (seed % 3 === 0) await compact(store, { policy: 'always', now: store.now });
      const keys = await store.keys();
      const seen: [number, number][] = [];
      const report = await verify(store, { onProgress: (...now) => void seen.push(now) });
      assert.deepEqual(report.problems, []);
      assert.deepEqual(report.warnings, []);
      assert.equal(report.objects, keys.length);
      assert.deepEqual(seen.at(-1), [keys.length, keys.length]);
      assert.equal(report.commits, history.states.filter(({ offset }) => offset > 0).length);
      assert.equal(report.snapshots, keys.filter((key) => parseKey(key)?.kind === 'snapshot').length);
      assert.equal(report.segments, keys.filter((key) => parseKey(key)?.kind === 'segment').length);
      assert.deepEqual(report.proof, { recorded: report.snapshots + report.segments, frames: 0 });
      assert.deepEqual(report.generations.map(({ id }) => id), history.generations.map(({ id }) => id)); // prettier-ignore
      const end = history.states.at(-1)!;
      const { last } = report.generations.at(-1)!;
      assert.ok([positionOf(end), positionOf({ ...end, index: end.index + 1, offset: 0 })].includes(last!), last);
    });
  }
});

test('a flipped byte anywhere in any object of a small replica is found, and the object named', async () => {
  for (const codecName of ['lz4', 'zstd'] as const) {
    const { store } = await replica({
      seed: codecName === 'lz4' ? 1100 : 1101,
      commits: 3,
      pageSize: 512,
      codec: codecName,
      checkpoints: 0.5,
      snapshots: 1,
      workload: { largest: 40, most: 4000 },
    });
    const head = await readHead(store);
    await writeFloors(store, new Map([[head!.position.generation, 0]]), 'absent');
    const random = new Seeded(1100);
    for (const key of await store.keys()) {
      const { body } = await store.get(key);
      // Every byte that is structure (every third the second time); of compressed content a sample.
      const step = codecName === 'lz4' ? 1 : 3;
      const places = new Set<number>();
      for (let at = 0; at < body.length; at += step) if (at < 340 || at >= body.length - 330) places.add(at);
      for (let i = 0; i < 60; i++) places.add(random.int(body.length));
      for (const at of places) {
        const flipped = Buffer.from(body);
        flipped[at]! ^= 1 << random.int(8);
        await store.put(key, flipped);
        const { problems } = await verify(store);
        const named = problems.filter((problem) => problem.key === key);
        assert.ok(named.length > 0, `byte ${at} of ${body.length} of ${key}: ${JSON.stringify(problems)}`);
        assert.ok(named[0]!.message.includes(key), named[0]!.message);
      }
      for (const length of [0, 1, 7, 50, body.length >> 1, body.length - 1]) {
        await store.put(key, body.subarray(0, length));
        const { problems } = await verify(store);
        assert.ok(problems.some((problem) => problem.key === key), `${key} cut to ${length} bytes`); // prettier-ignore
      }
      await store.put(key, body);
    }
    assert.deepEqual(await codes(store), []);
  }
});

test('verification goes on behind damage: two damaged objects are both named', async () => {
  for (const seed of seeds(4, 1200)) {
    await rerunnable(seed, FILE, async () => {
      const { store } = await replica({ seed, commits: 25, generations: 2, checkpoints: 0.3, snapshots: 0.3 });
      const keys = (await store.keys()).filter((key) => parseKey(key) !== undefined);
      const random = new Seeded(seed);
      const damaged = new Set([random.pick(keys), random.pick(keys), random.pick(keys)]);
      for (const key of damaged) {
        const { body } = await store.get(key);
        body[random.int(body.length)]! ^= 16;
        await store.put(key, body);
      }
      const { problems, objects } = await verify(store);
      for (const key of damaged) assert.ok(problems.some((problem) => problem.key === key), key); // prettier-ignore
      assert.equal(objects, (await store.keys()).length);
    });
  }
});

test('a missing segment is a problem, wherever it was', async () => {
  for (const seed of seeds(3, 1300)) {
    await rerunnable(seed, FILE, async () => {
      const { store } = await replica({ seed, commits: 15, checkpoints: 0.3, snapshots: 0.3 });
      const keys = (await store.keys()).filter((key) => parseKey(key)?.kind === 'segment');
      for (const key of keys) {
        const { body } = await store.get(key);
        await store.delete([key]);
        const { problems } = await verify(store);
        assert.ok(problems.length > 0, `nothing noticed that ${key} is missing`);
        await store.put(key, body);
      }
    });
  }
});

test('a hole below the floor is what retention made; above it, it is damage', async () => {
  const { store, history } = await replica({ seed: 1400, commits: 30, checkpoints: 0.3, snapshots: 1 });
  const [{ id }] = history.generations as [History['generations'][0]];
  const floor = history.states.at(-1)!.index - 1;
  const gone = (await store.keys()).filter((key) => {
    const name = parseKey(key);
    return name?.kind === 'segment' && name.index < floor;
  });
  // As a sweep that was killed would leave them: the newest WAL went first.
  const kept = gone.slice(0, gone.length >> 1);
  await store.delete(gone.filter((key) => !kept.includes(key)));
  assert.ok((await codes(store)).length > 0);
  await writeFloors(store, new Map([[id, floor]]), 'absent');
  assert.deepEqual(await codes(store), []);
  await store.delete(kept);
  assert.deepEqual(await codes(store), []);
  await store.delete([snapshotKey(id, floor, history.codec)]);
  assert.deepEqual((await codes(store)).slice(0, 1), ['WAL_WITHOUT_SNAPSHOT']);
});

test('states that were recorded wrong are found, though every CRC is right', async () => {
  const { store, history } = await replica({ seed: 1500, commits: 12, checkpoints: 0.3, cut: { joined: 0 } });
  const keys = (await store.keys()).filter((key) => parseKey(key)?.kind === 'segment');
  const rewritten = async (key: string, change: (header: SegmentHeader) => SegmentHeader): Promise<string[]> => {
    const { body } = await store.get(key);
    const header = parseSegmentHeader(body);
    if (header === undefined || 'needs' in header) throw new Error(key);
    const raw = decodeSegment(body, header, history.codec);
    await store.put(key, encodeSegment(change(header), raw, codec(history.codec)));
    const { problems } = await verify(store);
    await store.put(key, body);
    assert.ok(problems.every((problem) => problem.key === key || problem.code !== problems[0]!.code));
    assert.equal(problems[0]!.key, key);
    return problems.map(({ code }) => code);
  };
  for (const key of keys) {
    const withMarks = (change: (mark: SegmentHeader['marks'][0]) => SegmentHeader['marks'][0]) => (header: SegmentHeader) =>
      ({ ...header, marks: header.marks.map((mark, i) => (i === header.marks.length - 1 ? change(mark) : mark)) }); // prettier-ignore
    const before = await rewritten(key, (header) => ({
      ...header,
      before: { ...header.before, checksum: header.before.checksum ^ 1n },
    }));
    assert.equal(before[0], 'SEGMENT_BEFORE');
    const parsed = parseSegmentHeader((await store.get(key)).body);
    if (parsed === undefined || 'needs' in parsed || parsed.marks.length === 0) continue;
    assert.equal(
      (
        await rewritten(
          key,
          withMarks((m) => ({ ...m, checksum: m.checksum ^ 1n })),
        )
      )[0],
      'SEGMENT_CHECKSUM',
    );
    assert.equal(
      (
        await rewritten(
          key,
          withMarks((m) => ({ ...m, pages: m.pages + 1 })),
        )
      )[0],
      'SEGMENT_MARKS',
    );
  }
});

test('a head that names what is not there, or another database, is a problem', async () => {
  const { store, history } = await replica({ seed: 1600, commits: 12, checkpoints: 0.3 });
  const head = (await readHead(store))!;
  const { position } = head;
  const wrong = async (change: Partial<typeof head>): Promise<string[]> => {
    await writeHead(store, { ...head, ...change });
    const { problems } = await verify(store);
    for (const { key } of problems) assert.equal(key, HEAD_KEY);
    return problems.map(({ code }) => code);
  };
  assert.deepEqual(await wrong({}), []);
  assert.deepEqual(await wrong({ checksum: head.checksum ^ 1n }), ['HEAD_CHECKSUM']);
  assert.deepEqual(await wrong({ position: { ...position, offset: position.offset + 4120 } }), [
    'HEAD_BEYOND_SEGMENTS',
  ]);
  assert.deepEqual(await wrong({ position: { ...position, index: position.index + 2 } }), ['HEAD_BEYOND_SEGMENTS']);
  assert.deepEqual(await wrong({ position: { ...position, index: position.index + 1, offset: 0 } }), []);
  const gone = { ...position, generation: 'f'.repeat(16) };
  assert.deepEqual(await wrong({ position: gone }), ['HEAD_BEYOND_SEGMENTS']);
  const { claim } = (await readClaim(store))!;
  assert.deepEqual(await wrong({ position: gone, seen: claim.since }), [], 'claimed since, and no head yet');
  await store.delete((await store.keys()).filter((key) => key.includes('/snapshots/')));
  assert.ok((await wrong({ position: gone, seen: claim.since })).includes('HEAD_BEYOND_SEGMENTS'));
  assert.ok(history.states.length > 0);
});

test('foreign keys and generations without a snapshot are warnings', async () => {
  const { store, history } = await replica({ seed: 1700, commits: 5 });
  await store.put('generations/readme.txt', Buffer.from('hello'));
  const [first] = (await store.keys()).filter((key) => parseKey(key)?.kind === 'segment');
  const other = first!.replace(history.generations[0]!.id, '0'.repeat(16));
  const { body } = await store.get(first!);
  await store.put(other, body);
  const { warnings, problems } = await verify(store);
  assert.deepEqual(warnings.map(({ code }) => code).sort(), ['FOREIGN_KEY', 'NO_SNAPSHOT']);
  assert.deepEqual(problems.map(({ code, key }) => [code, key]), [['SEGMENT_IDENTITY', other]]); // prettier-ignore
});

test('deep: the latest state of each generation is restored, and SQLite finds it sound', async () => {
  using scratch = new Scratch();
  const { store, history } = await replica({ seed: 1800, commits: 20, generations: 2, cut: { notRestorable: 0 } });
  const opened: string[] = [];
  const integrity = async (path: string): Promise<string[]> => {
    opened.push(path);
    const db = new Database(path, { readonly: true });
    const found = db.pragma('integrity_check') as { integrity_check: string }[];
    db.close();
    return found.map((row) => row.integrity_check).filter((line) => line !== 'ok');
  };
  const report = await verify(store, { deep: { integrity, folder: scratch.path } });
  assert.deepEqual(report.problems, []);
  assert.equal(opened.length, history.generations.length);
  assert.deepEqual(readdirSync(scratch.path), []);
  const unsound = await verify(store, { deep: { integrity: async () => ['row 7 missing'], folder: scratch.path } });
  assert.deepEqual(unsound.problems.map(({ code }) => code), ['DATABASE_INTEGRITY', 'DATABASE_INTEGRITY']); // prettier-ignore
  assert.equal(typeof FLOORS_KEY, 'string');
});
