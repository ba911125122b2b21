/** Decoders trust nothing: every truncation and every flipped bit is a named error, or does not change the result. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { isKind } from '../../../replica/terms/errors.ts';
import { codec } from '../../../replica/format/codec.ts';
import { decodeSegment, encodeSegment, parseSegmentHeader } from '../../../replica/format/segment.ts';
import { FOOTER_LENGTH } from '../../../replica/format/snapshot.ts';
import { memoryStore } from '../../../replica/store/memory.ts';
import { rerunnable, Seeded, seeds } from '../../history/seeded.ts';
import { controlSubject, segmentSubject, snapshotSubject, type Reader, type Subject } from './subjects.ts';

const FILE = 'test/replica/format/decoders.test.ts';

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

test('a segment that ends inside a frame, or inside the header of the WAL, is refused under right checksums', async () => {
  const { key, bytes, strict, partial } = await segmentSubject(3803, 'lz4');
  const header = parseSegmentHeader(bytes);
  assert.ok(header !== undefined && !('needs' in header));
  const raw = Buffer.from(decodeSegment(bytes, header, 'lz4'));
  for (const rawLength of [1, 31, 33, raw.length - 1, raw.length - 24, raw.length - header.pageSize]) {
    const marks = header.marks.filter(({ offset }) => offset <= rawLength);
    const cut = { ...header, rawLength, marks, endsOnCommit: false };
    const store = memoryStore();
    const forged = encodeSegment(cut, raw.subarray(0, rawLength), codec('lz4'));
    await store.put(key, forged);
    for (const reader of [...strict, ...partial]) {
      await assert.rejects(reader(store, forged.length), (error: unknown) => {
        assert.ok(isKind(error, 'corrupt') && error.code === 'SEGMENT_LENGTH', `${rawLength} bytes: ${String(error)}`);
        return error.facts.key === key;
      });
    }
  }
});
