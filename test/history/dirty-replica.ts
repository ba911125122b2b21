/**
 * Large replicas, made fast: the pages are not a real database, and a few kinds of blocks repeat. One snapshot, one
 * complete WAL index over it, and the first segment of the next.
 */
import { crc32 } from 'node:zlib';
import { codec as codecNamed } from '../../replica/format/codec.ts';
import { BLOCK_SIZE } from '../../replica/format/block-size.ts';
import { PageHashes } from '../../replica/format/page-hashes.ts';
import { encodeSegment } from '../../replica/format/segment.ts';
import type { DatabaseState } from '../../replica/terms/database-state.ts';
import { segmentKey, type CodecName } from '../../replica/terms/layout.ts';
import { SnapshotWriter } from '../../replica/objects/snapshot-writer.ts';
import type { Store } from '../../replica/store/store.ts';
import { encodeFrame, encodeWalHeader, parseWalHeader } from '../../replica/wal/format.ts';
import { Seeded } from './seeded.ts';

export interface DirtyReplicaOptions {
  /** Bytes of the database, whole MiB. */
  readonly size: number;
  /** Pages that the WAL changes, ascending. */
  readonly dirty: readonly number[];
  readonly pageSize?: number;
  readonly codec?: CodecName;
}

const GENERATION = '00000000feedf00d';
const KINDS = 16;
const TIME = Date.UTC(2026, 0, 1);
const SEGMENT_FRAMES = 4000;

/** Returns the state after the WAL, which a compaction must produce. */
export async function writeDirtyReplica(store: Store, options: DirtyReplicaOptions): Promise<DatabaseState> {
  const { size, dirty, pageSize = 4096, codec: codecName = 'lz4' } = options;
  const random = new Seeded(size);
  const codec = codecNamed(codecName);
  const pages = size / pageSize;
  const perBlock = BLOCK_SIZE / pageSize;

  const kinds = Array.from({ length: KINDS }, () => {
    const raw = Buffer.concat(Array.from({ length: perBlock }, () => pageLike(random, pageSize)));
    const stored = codec.encodeBlock(raw);
    return { raw, stored, crc: crc32(stored) };
  });
  const facts = { generation: GENERATION, index: 0, pageSize, pages, time: TIME, checksum: undefined, reason: 'test' };
  const writer = new SnapshotWriter(store, facts, codec);
  const hashes = new PageHashes(pageSize, pages);
  for (let block = 0; block * perBlock < pages; block++) {
    const { raw, stored, crc } = random.pick(kinds);
    await writer.append(stored, crc);
    for (let i = 0; i < perBlock; i++) {
      hashes.set(block * perBlock + i + 1, raw.subarray(i * pageSize, (i + 1) * pageSize));
    }
  }
  hashes.commit(pages);
  await writer.finish(hashes);

  let before: DatabaseState = { pages, checksum: hashes.checksum, time: TIME };
  let compacted = before;
  for (const [index, changed] of [dirty, [1]].entries()) {
    const header = encodeWalHeader({ order: 'little', pageSize, sequence: index, salt1: index, salt2: 7 });
    const wal = parseWalHeader(header);
    let sum = wal.sum;
    let offset = 0;
    compacted = before;
    for (let at = 0; at < changed.length; at += SEGMENT_FRAMES) {
      const frames = offset === 0 ? [header] : [];
      const some = changed.slice(at, at + SEGMENT_FRAMES);
      for (const [i, page] of some.entries()) {
        const content = pageLike(random, pageSize);
        hashes.set(page, content);
        const encoded = encodeFrame(wal, sum, page, i === some.length - 1 ? pages : 0, content);
        sum = encoded.sum;
        frames.push(encoded.frame);
      }
      const raw = Buffer.concat(frames);
      const state = { pages, checksum: hashes.checksum, time: before.time + 1000 };
      const marks = [{ ...state, offset: offset + raw.length, restorable: true }];
      const about = { generation: GENERATION, index, offset, pageSize, rawLength: raw.length, before, marks };
      const bytes = encodeSegment({ ...about, endsOnCommit: true }, raw, codec);
      await store.put(segmentKey(GENERATION, index, offset, codecName), bytes, 'absent');
      before = state;
      offset += raw.length;
    }
  }
  return compacted;
}

/** Compresses to about 40 %, as pages of tables do. */
export function pageLike(random: Seeded, pageSize: number): Buffer {
  const page = Buffer.alloc(pageSize);
  random.noise(Math.floor(pageSize * 0.38)).copy(page);
  random.text(pageSize >> 1).copy(page, Math.floor(pageSize * 0.38));
  return page;
}
