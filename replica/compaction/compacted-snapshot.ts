/** The making of a compaction's snapshot: out of the one before it where that can be, else all anew. */
import { isKind } from '../terms/errors.ts';
import { codec as codecNamed, DEFAULT_ZSTD_LEVEL } from '../format/codec.ts';
import { DEFAULT_MEMORY, LEAST_MEMORY, openImage } from '../image/image.ts';
import type { CodecName } from '../terms/layout.ts';
import { pagesPerBlock } from '../format/snapshot.ts';
import { patchSnapshot } from './patch-snapshot.ts';
import type { RestorePlan } from '../plan/plan.ts';
import { isBlockSnapshot, openSnapshot, readSnapshotFacts } from '../objects/snapshot-reader.ts';
import { writeSnapshot, type ExpectedFacts } from '../objects/snapshot-writer.ts';
import type { Store } from '../store/store.ts';
import { WalPages } from '../image/wal-pages.ts';
import { scanWal } from '../image/wal-scan.ts';

/** A snapshot that compaction made. */
export interface CompactedSnapshot {
  /** Key of the new object, relative to the replica. */
  readonly key: string;
  /** Bytes stored. */
  readonly size: number;
  /** Pages of the database. */
  readonly pages: number;
  /** Database checksum: the XOR of its page hashes, 64 bits. */
  readonly checksum: bigint;
  /** Frames of WAL that were read. */
  readonly frames: number;
  /** Bytes of it that the store copied out of the snapshot before, without passing through this process. */
  readonly copied: number;
  /**
   * `patched`: only changed blocks were made anew. `passed-on`: the same, but the store does not copy, so the unchanged
   * ones were read and written. `rewritten`: all blocks were, because the snapshot before has another codec or block
   * size, or is another program's.
   */
  readonly how: 'patched' | 'passed-on' | 'rewritten';
}

/** How the snapshot is made. */
export interface CompactedSnapshotOptions {
  /** @default that of the snapshot before */
  readonly codec?: CodecName;
  /** zstd only. */
  readonly level?: number;
  /** Bytes of WAL pages held in memory. */
  readonly memory?: number;
  /**
   * Called after each block with bytes of the database done so far and in all; in all is undefined if it is unknown.
   */
  readonly onProgress?: (done: number, total: number | undefined) => void;
}

/**
 * Makes snapshot `index` of the plan's state, and nothing if that state is not the recorded one (`corrupt`). `conflict`
 * when there is one. Undefined when the WAL holds no commit.
 */
export async function makeSnapshot(
  store: Store,
  plan: RestorePlan,
  index: number,
  options: CompactedSnapshotOptions,
): Promise<CompactedSnapshot | undefined> {
  const { generation, snapshot } = plan;
  const { onProgress } = options;
  const codec = codecNamed(options.codec ?? snapshot.codec, options.level ?? DEFAULT_ZSTD_LEVEL);
  const memory = Math.max(options.memory ?? DEFAULT_MEMORY, LEAST_MEMORY);
  const base = await readSnapshotFacts(store, generation.id, snapshot);
  const about = {
    generation: generation.id,
    index,
    time: plan.time,
    checksum: plan.proof?.state.checksum,
    reason: 'compaction',
    ...(base?.file && { file: base.file }),
  };
  const old = await openSnapshot(store, generation.id, snapshot);
  const alike = isBlockSnapshot(old) && old.footer.blockPages === pagesPerBlock(old.facts.pageSize);
  if (!alike || codec.name !== snapshot.codec) {
    const image = await openImage(store, plan, { memory });
    const { pages, pageSize } = image;
    if (pages === undefined) return undefined;
    const blocks = reported(image.blocks(), pages * pageSize, onProgress);
    const written = await writeSnapshot(store, { ...about, pages, pageSize }, codec, blocks);
    return { ...written, pages, frames: image.result().frames, copied: 0, how: 'rewritten' };
  }
  const scan = await scanWal(store, plan, memory, old);
  const { pages = old.facts.pages, frames } = scan;
  const facts: ExpectedFacts = { ...about, pages, pageSize: old.facts.pageSize };
  const wal = { scan, pages: new WalPages(store, plan, scan, memory) };
  try {
    const written = await patchSnapshot(store, old, facts, wal, { codec, copies: true, onProgress });
    return { ...written, pages, frames, how: 'patched' };
  } catch (error) {
    if (!isKind(error, 'unsupported') || error.code !== 'STORE_NOT_IMPLEMENTED') throw error;
    const written = await patchSnapshot(store, old, facts, wal, { codec, copies: false, onProgress });
    return { ...written, pages, frames, how: 'passed-on' };
  }
}

async function* reported(
  blocks: AsyncIterable<Buffer>,
  total: number,
  onProgress: CompactedSnapshotOptions['onProgress'],
): AsyncGenerator<Buffer> {
  let done = 0;
  for await (const block of blocks) {
    yield block;
    done += block.length;
    onProgress?.(done, total);
  }
}
