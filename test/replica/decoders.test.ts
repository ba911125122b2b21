/** Decoders trust nothing: any cut and any changed bit is a named error, or provably does not matter. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { readClaim, readFloors, readHead, writeClaim, writeFloors, writeHead } from '../../replica/control.ts';
import { isKind } from '../../replica/errors.ts';
import { codec } from '../../replica/format/codec.ts';
import { FOOTER_LENGTH } from '../../replica/format/snapshot.ts';
import { CLAIM_KEY, FLOORS_KEY, HEAD_KEY, segmentKey, snapshotKey, type CodecName } from '../../replica/layout.ts';
import { readSegmentHeader, readWal, type SegmentRef } from '../../replica/segment-reader.ts';
import { isBlockSnapshot, openSnapshot, readSnapshotFacts, type SnapshotRef } from '../../replica/snapshot-reader.ts';
import { writeSnapshot } from '../../replica/snapshot-writer.ts';
import { memoryStore } from '../../replica/store/memory.ts';
import type { Store } from '../../replica/store/store.ts';
import { readWholeSnapshot } from '../../replica/verify-objects.ts';
import { blocksOf, buildHistory, hashOf } from '../history/history.ts';
import { rerunnable, Seeded, seeds } from '../history/seeded.ts';

const FILE = 'test/replica/decoders.test.ts';
const GENERATION = '00112233445566aa';

/** Reads one object; what it returns can be compared. */
type Reader = (store: Store, size: number) => Promise<unknown>;

interface Subject {
  readonly key: string;
  readonly bytes: Buffer;
  /** Readers that consult every byte: no change may pass. */
  readonly strict: readonly Reader[];
  /** Readers of a part: a change elsewhere may give the same result, never another one. */
  readonly partial: readonly Reader[];
}

async function segmentSubject(seed: number, codecName: CodecName): Promise<Subject> {
  const store = memoryStore();
  const workload = { largest: 300, most: 4000 };
  const { generations } = await buildHistory(store, { seed, commits: 6, pageSize: 512, checkpoints: 0, codec: codecName, workload }); // prettier-ignore
  const { id } = generations[0]!;
  const key = segmentKey(id, 0, 0, codecName);
  const ref = (size: number): SegmentRef => ({ index: 0, offset: 0, codec: codecName, size, lastModified: 0 });
  const whole: Reader = async (from, size) => {
    const frames: unknown[] = [];
    for await (const segment of readWal(from, id, [ref(size)])) {
      for (const { page, commitPages, content, end } of segment.frames)
        frames.push([page, commitPages, end, hashOf(content)]);
    }
    return frames;
  };
  return {
    key,
    bytes: (await store.get(key)).body,
    strict: [whole],
    partial: [(from, size) => readSegmentHeader(from, id, ref(size))],
  };
}

async function snapshotSubject(seed: number, codecName: CodecName, pages: number): Promise<Subject> {
  const store = memoryStore();
  const random = new Seeded(seed);
  const image = Buffer.alloc(pages * 512);
  for (let at = 0; at < image.length; at += 512)
    (random.chance(0.5) ? random.text(512) : random.noise(512)).copy(image, at);
  const facts = {
    generation: GENERATION,
    index: 3,
    pageSize: 512,
    pages,
    time: 1e12,
    checksum: undefined,
    reason: 'test',
  };
  const file = { mode: 0o600, uid: 1, gid: 2 };
  await writeSnapshot(store, { ...facts, parent: 'ffeeddccbbaa9988', file }, codec(codecName), blocksOf(image));
  const key = snapshotKey(GENERATION, 3, codecName);
  const ref = (size: number): SnapshotRef => ({ index: 3, codec: codecName, size, lastModified: 0 });
  const whole: Reader = async (from, size) => (await readWholeSnapshot(from, GENERATION, ref(size))).hashes.checksum;
  const blocks: Reader = async (from, size) => {
    const opened = await openSnapshot(from, GENERATION, ref(size));
    const read: Buffer[] = [];
    for await (const block of opened.blocks()) read.push(block!);
    return hashOf(Buffer.concat(read));
  };
  const lastBlock: Reader = async (from, size) => {
    const opened = await openSnapshot(from, GENERATION, ref(size));
    assert.ok(isBlockSnapshot(opened));
    return [opened.facts, opened.footer, hashOf(await opened.block(opened.table.length - 1))];
  };
  const partial: Reader[] = [blocks, lastBlock, (from, size) => readSnapshotFacts(from, GENERATION, ref(size))];
  return { key, bytes: (await store.get(key)).body, strict: [whole], partial };
}

async function controlSubject(which: 'claim' | 'head' | 'floors'): Promise<Subject> {
  const store = memoryStore();
  const claim = { generation: GENERATION, epoch: 7, owner: 'someone', holder: 'höst:1', since: 1e12 };
  const position = { generation: GENERATION, index: 3, offset: 4152 };
  const head = { position, checksum: 0x0123456789abcdefn, pages: 9, committed: 1e12, seen: 1e12 + 5 };
  if (which === 'claim') await writeClaim(store, claim, 'absent');
  else if (which === 'head') await writeHead(store, head);
  else await writeFloors(store, new Map([[GENERATION, 17]]), 'absent');
  const [key, strict] = {
    claim: [CLAIM_KEY, async (from: Store) => (await readClaim(from))?.claim] as const,
    head: [HEAD_KEY, readHead] as const,
    floors: [FLOORS_KEY, async (from: Store) => (await readFloors(from))?.floors] as const,
  }[which];
  return { key, bytes: (await store.get(key)).body, strict: [strict], partial: [] };
}

/** Puts `bytes` in the object's place and reads it in every way. */
async function check(subject: Subject, good: ReadonlyMap<Reader, unknown>, bytes: Buffer, what: string): Promise<void> {
  const store = memoryStore();
  await store.put(subject.key, bytes);
  for (const reader of [...subject.strict, ...subject.partial]) {
    let result: unknown;
    try {
      result = await reader(store, bytes.length);
    } catch (error) {
      if (!isKind(error, 'corrupt', 'unsupported')) throw new Error(`${what}: ${String(error)}`, { cause: error });
      assert.equal(error.facts.key, subject.key, `${what}: the error does not name its object: ${error.message}`);
      continue;
    }
    assert.ok(!subject.strict.includes(reader), `${what} passed unnoticed`);
    assert.deepEqual(result, good.get(reader), `${what} gave another result`);
  }
}

async function torture(subject: Subject, random: Seeded, flips: number, everyByteUpTo: number): Promise<void> {
  const { bytes } = subject;
  const store = memoryStore();
  await store.put(subject.key, bytes);
  const good = new Map<Reader, unknown>();
  for (const reader of [...subject.strict, ...subject.partial]) good.set(reader, await reader(store, bytes.length));
  const all = bytes.length <= everyByteUpTo;
  for (let length = 0; length < bytes.length; length += all ? 1 : 1 + random.int(bytes.length >> 7)) {
    await check(subject, good, bytes.subarray(0, length), `${subject.key} cut to ${length} of ${bytes.length} bytes`);
  }
  const places = all ? [...bytes.keys()] : Array.from({ length: flips }, () => placeIn(bytes.length, random));
  for (const at of places) {
    const flipped = Buffer.from(bytes);
    flipped[at]! ^= 1 << random.int(8);
    await check(subject, good, flipped, `${subject.key} with byte ${at} of ${bytes.length} changed`);
  }
  for (const tail of [Buffer.alloc(1), Buffer.alloc(7, 9), bytes.subarray(0, 40)]) {
    await check(subject, good, Buffer.concat([bytes, tail]), `${subject.key} with ${tail.length} bytes more`);
  }
}

/** Mostly where the structure is. */
function placeIn(length: number, random: Seeded): number {
  const edge = Math.min(400, length);
  return random.weighted([
    [2, random.int(edge)],
    [2, length - 1 - random.int(edge)],
    [1, random.int(length)],
  ] as const);
}

for (const codecName of ['lz4', 'zstd'] as const) {
  test(`segments, ${codecName}`, async () => {
    for (const seed of seeds(1, 3700)) {
      await rerunnable(seed, FILE, async () =>
        torture(await segmentSubject(seed, codecName), new Seeded(seed), 2000, 1500),
      );
    }
  });
  test(`snapshots, ${codecName}`, async () => {
    for (const seed of seeds(1, 3750)) {
      await rerunnable(seed, FILE, async () => {
        await torture(await snapshotSubject(seed, codecName, 2), new Seeded(seed), 0, 3000);
        await torture(await snapshotSubject(seed, codecName, 2100), new Seeded(seed), 150, 0);
      });
    }
  });
}

test('claim, head and floors', async () => {
  for (const which of ['claim', 'head', 'floors'] as const)
    await torture(await controlSubject(which), new Seeded(1), 0, 5000);
});

test('impossible values under a right CRC are refused, and nothing is allocated for them', async () => {
  const before = process.memoryUsage.rss();
  const random = new Seeded(3800);
  const extremes = [0, 1, 0x7fff_ffff, 0xffff_ffff, 0x8000_0000, 65537];
  const segment = await segmentSubject(3801, 'lz4');
  const snapshot = await snapshotSubject(3802, 'lz4', 40);
  const subjects = [
    { subject: segment, from: 8, length: segment.bytes.readUInt32LE(4) },
    { subject: snapshot, from: 8, length: 128 },
    { subject: snapshot, from: snapshot.bytes.length - FOOTER_LENGTH, length: FOOTER_LENGTH },
  ];
  for (const { subject, from, length } of subjects) {
    for (let at = from + 8; at + 8 <= from + length; at++) {
      const forged = Buffer.from(subject.bytes);
      forged.writeUInt32LE(random.pick(extremes), at);
      forged.writeUInt32LE(crc32(forged.subarray(from, from + length - 4)), from + length - 4);
      if (forged.equals(subject.bytes)) continue;
      const store = memoryStore();
      await store.put(subject.key, forged);
      // Fields that nothing can contradict (a reason, an owner, a checksum of the state before) may differ.
      for (const reader of subject.strict) {
        await reader(store, forged.length).catch((error: unknown) => {
          if (!isKind(error, 'corrupt', 'unsupported')) throw error;
          assert.equal(error.facts.key, subject.key);
        });
      }
    }
  }
  assert.ok(process.memoryUsage.rss() - before < 300 << 20);
});
