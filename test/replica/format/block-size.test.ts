/** The size of blocks: LZ4's frame header follows from it, and snapshots with blocks of other sizes are read or refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { compact } from '../../../replica/compaction/compact.ts';
import { BLOCK_SIZE, LZ4_BLOCK_DESCRIPTOR } from '../../../replica/format/block-size.ts';
import { ByteSource, once } from '../../../replica/format/byte-source.ts';
import { codec as codecNamed } from '../../../replica/format/codec.ts';
import { lz4DecodeFrame, lz4EncodeBlock, lz4Epilogue, lz4Prologue } from '../../../replica/format/lz4/frame.ts';
import { encodeSnapshotHeader, encodeTrailer, FOOTER_LENGTH, parseFooter } from '../../../replica/format/snapshot.ts';
import { openSnapshot, readSnapshotFacts } from '../../../replica/objects/snapshot-reader.ts';
import { readWholeSnapshot } from '../../../replica/objects/whole-snapshot.ts';
import { openAt } from '../../../replica/restore/choose.ts';
import { memoryStore } from '../../../replica/store/memory.ts';
import type { Store } from '../../../replica/store/store.ts';
import { parseKey, type CodecName } from '../../../replica/terms/layout.ts';
import { verify } from '../../../replica/verification/verify.ts';
import { at, expectState, reachable } from '../../history/expect.ts';
import { buildHistory, hashOf } from '../../history/history.ts';
import { Scratch } from '../../history/scratch.ts';
import { Seeded } from '../../history/seeded.ts';

test('the byte in the LZ4 frame header names the block size', async () => {
  assert.equal(LZ4_BLOCK_DESCRIPTOR, 0x60);
  assert.equal(1 << (8 + 2 * (LZ4_BLOCK_DESCRIPTOR >> 4)), BLOCK_SIZE);
  assert.equal(lz4Prologue(false)[5], LZ4_BLOCK_DESCRIPTOR);
  const decode = async (raw: Buffer): Promise<Buffer> => {
    const frame = Buffer.concat([lz4Prologue(false), lz4EncodeBlock(raw), lz4Epilogue()]);
    const pieces: Buffer[] = [];
    for await (const piece of lz4DecodeFrame(new ByteSource(once(frame)))) pieces.push(piece);
    return Buffer.concat(pieces);
  };
  const random = new Seeded(3600);
  for (const raw of [random.noise(BLOCK_SIZE), random.text(BLOCK_SIZE)]) assert.ok((await decode(raw)).equals(raw));
  for (const raw of [random.noise(BLOCK_SIZE + 1), random.text(BLOCK_SIZE + 1)]) {
    await assert.rejects(decode(raw), { kind: 'corrupt' });
  }
});

/** The snapshot with blocks of another size, as another release would have written it. */
async function reblock(store: Store, key: string, blockPages: number): Promise<void> {
  const place = parseKey(key);
  assert.ok(place?.kind === 'snapshot');
  const { generation, index, codec: codecName } = place;
  const info = await store.head(key);
  const ref = { ...info!, index, codec: codecName };
  const facts = (await readSnapshotFacts(store, generation, ref))!;
  const { hashes } = await readWholeSnapshot(store, generation, ref);
  const opened = await openSnapshot(store, generation, ref);
  const image: Buffer[] = [];
  for await (const piece of opened.blocks()) image.push(piece!);
  const codec = codecNamed(codecName);
  const size = blockPages * facts.pageSize;
  const raw = Buffer.concat(image);
  const blocks: Buffer[] = [];
  for (let from = 0; from < raw.length; from += size) blocks.push(codec.encodeBlock(raw.subarray(from, from + size)));
  const body = [encodeSnapshotHeader(facts), codec.prologue(false), ...blocks, codec.epilogue()];
  const trailerStart = body.reduce((sum, { length }) => sum + length, 0);
  const table = blocks.map((stored) => ({ length: stored.length, crc: crc32(stored) }));
  const trailer = encodeTrailer(facts, codecName, trailerStart, hashes.toBytes(), table);
  await store.put(key, withBlockPages(Buffer.concat([...body, ...trailer]), blockPages));
}

/** The object with another number in its footer, under a right CRC. */
function withBlockPages(object: Buffer, blockPages: number): Buffer {
  const changed = Buffer.from(object);
  const footer = changed.subarray(-FOOTER_LENGTH);
  footer.writeUInt32LE(blockPages, 64);
  footer.writeUInt32LE(crc32(footer.subarray(0, -4)), FOOTER_LENGTH - 4);
  return changed;
}

async function snapshotKeys(store: Store): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list('')) if (key.includes('/snapshots/')) keys.push(key);
  return keys;
}

for (const [codec, pageSize, blockPages] of [
  ['lz4', 4096, 32],
  ['zstd', 4096, 128],
  ['lz4', 1024, 1],
  ['lz4', 65_536, 8],
] as const satisfies readonly (readonly [CodecName, number, number])[]) {
  test(`a snapshot of ${codec} blocks of ${blockPages} pages of ${pageSize} bytes is read in every way`, async () => {
    using scratch = new Scratch();
    const store = memoryStore();
    const workload = { largest: 300_000, most: 3_500_000 };
    const options = { seed: 3700, commits: 16, checkpoints: 0.4, cut: { notRestorable: 0 } };
    const history = await buildHistory(store, { ...options, pageSize, codec, workload });
    for (const key of await snapshotKeys(store)) await reblock(store, key, blockPages);
    for (const state of history.states) {
      if (!reachable(history, state)) continue;
      await expectState(store, scratch, at(state), state, { threads: 0 });
      const open = await openAt(store, at(state));
      assert.equal(hashOf(await open.readPages(1, open.pages)), state.hash);
      await open.close();
    }
    const last = history.states.at(-1)!;
    await expectState(store, scratch, at(last), last, { threads: 2 });
    const outcome = await compact(store, { policy: 'always', now: last.time + 1000 });
    assert.ok(outcome.kind === 'compacted' && outcome.how === 'rewritten');
    await expectState(store, scratch, at(last), last);
    assert.deepEqual((await verify(store)).problems, []);
  });
}

test('pieces that are not wanted are left out, whatever the block size', async () => {
  const store = memoryStore();
  const workload = { largest: 900_000, most: 9_000_000 };
  await buildHistory(store, { seed: 3800, commits: 40, checkpoints: 0.9, snapshots: 1, pageSize: 4096, codec: 'lz4', workload }); // prettier-ignore
  const key = (await snapshotKeys(store)).at(-1)!;
  const { generation, index } = parseKey(key) as { generation: string; index: number };
  const pieces = async (want: (piece: number) => boolean): Promise<(string | undefined)[]> => {
    const info = await store.head(key);
    const found: (string | undefined)[] = [];
    const opened = await openSnapshot(store, generation, { ...info!, index, codec: 'lz4' });
    for await (const piece of opened.blocks(want)) found.push(piece && hashOf(piece));
    return found;
  };
  const whole = await pieces(() => true);
  assert.ok(whole.length >= 4, `${whole.length} pieces`);
  await reblock(store, key, 64);
  for (const want of [
    () => true,
    () => false,
    (n: number) => n % 2 === 0,
    (n: number) => n % 2 === 1,
    (n: number) => n > 1,
  ]) {
    const expected = whole.map((hash, piece) => (want(piece) ? hash : undefined));
    assert.deepEqual(await pieces(want), expected);
  }
});

test('a block size without buffers for it is unsupported, and not taken for damage', async () => {
  const store = memoryStore();
  await buildHistory(store, { seed: 3900, commits: 1, pageSize: 4096, codec: 'lz4' });
  const [key] = await snapshotKeys(store);
  const { body } = await store.get(key!);
  for (const blockPages of [0, 3, 100, 255, 257, 512, 1024, 0xffff_ffff]) {
    const object = withBlockPages(body, blockPages);
    assert.throws(() => parseFooter(object, object.length), { kind: 'unsupported', code: 'SNAPSHOT_BLOCK_SIZE' });
  }
  // A size that can be read, but not the one of this table.
  const lie = withBlockPages(body, 1);
  assert.throws(() => parseFooter(lie, lie.length), { kind: 'corrupt', code: 'SNAPSHOT_FOOTER' });
});
