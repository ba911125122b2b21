/** One object of each kind, and everything that reads it: what decoders are tried on. */
import assert from 'node:assert/strict';
import { readClaim, writeClaim } from '../../../replica/catalogue/claim.ts';
import { writeFloors, readFloors } from '../../../replica/catalogue/floors.ts';
import { writeHead, readHead } from '../../../replica/catalogue/head.ts';
import { codec } from '../../../replica/format/codec.ts';
import {
  CLAIM_KEY,
  FLOORS_KEY,
  HEAD_KEY,
  segmentKey,
  snapshotKey,
  type CodecName,
} from '../../../replica/terms/layout.ts';
import { readSegmentHeader, readWal, type SegmentRef } from '../../../replica/objects/segment-reader.ts';
import {
  isBlockSnapshot,
  openSnapshot,
  readSnapshotFacts,
  type SnapshotRef,
} from '../../../replica/objects/snapshot-reader.ts';
import { writeSnapshot } from '../../../replica/objects/snapshot-writer.ts';
import { memoryStore } from '../../../replica/store/memory.ts';
import type { Store } from '../../../replica/store/store.ts';
import { readWholeSnapshot } from '../../../replica/objects/whole-snapshot.ts';
import { blocksOf, buildHistory, hashOf } from '../../history/history.ts';
import { Seeded } from '../../history/seeded.ts';

const GENERATION = '00112233445566aa';

/** Reads one object; what it returns can be compared. */
export type Reader = (store: Store, size: number) => Promise<unknown>;

export interface Subject {
  readonly key: string;
  readonly bytes: Buffer;
  /** Readers that consult every byte: no change may pass. */
  readonly strict: readonly Reader[];
  /** Readers of a part: a change elsewhere may give the same result, never another one. */
  readonly partial: readonly Reader[];
}

export async function segmentSubject(seed: number, codecName: CodecName): Promise<Subject> {
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

export async function snapshotSubject(seed: number, codecName: CodecName, pages: number): Promise<Subject> {
  const store = memoryStore();
  const random = new Seeded(seed);
  // Each has a name of its own, or one would be another's with other content, and only who reads all of it could tell.
  const index = pages;
  const image = Buffer.alloc(pages * 512);
  for (let at = 0; at < image.length; at += 512)
    (random.chance(0.5) ? random.text(512) : random.noise(512)).copy(image, at);
  const facts = {
    generation: GENERATION,
    index,
    pageSize: 512,
    pages,
    time: 1e12,
    checksum: undefined,
    reason: 'test',
  };
  const file = { mode: 0o600, uid: 1, gid: 2 };
  await writeSnapshot(store, { ...facts, parent: 'ffeeddccbbaa9988', file }, codec(codecName), blocksOf(image));
  const key = snapshotKey(GENERATION, index, codecName);
  const ref = (size: number): SnapshotRef => ({ index, codec: codecName, size, lastModified: 0 });
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

export async function controlSubject(which: 'claim' | 'head' | 'floors'): Promise<Subject> {
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
