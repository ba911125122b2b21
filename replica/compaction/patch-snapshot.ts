/**
 * A newer snapshot out of an older one of the same codec, moving only what changed: the store copies the runs of blocks
 * that no page of the WAL touches; blocks that changed are fetched, patched and encoded. Runs that are too short to be
 * copied are passed on as they are stored.
 *
 * Blocks that the store copies are not read. They keep the CRC and the page hashes that the old snapshot recorded, so
 * damage in one is as detectable afterwards as it was before. So an old snapshot is worth keeping until the new one has
 * been verified; `retain` keeps several.
 *
 * What moves in any case: the first part, which holds the new header, and the page hashes, 8 bytes a page. An isolated
 * changed block costs a part of 5 MiB both ways, so scattered changes cost more than the same number side by side; beyond
 * one in every few MiB everything moves, and nothing is worse than a full rewrite.
 *
 * Memory: a fixed number of parts (five of 5 MiB for databases of up to some 24 GiB), four runs of 2 MiB under way, 24
 * MiB of the WAL's pages (beyond that the WAL is read again for each such stretch of the database), a segment while the
 * WAL is read, and 8 bytes for each page.
 */
import { crc32 } from '../runtime/crc32.ts';
import { ChangedBlocks } from './changed-blocks.ts';
import { planCopies, type BlockRange } from './copy-plan.ts';
import type { Codec } from '../format/codec.ts';
import { blockBuffer, hashBlockBuffer } from '../format/block-buffer.ts';
import { BLOCK_SIZE } from '../format/block-size.ts';
import type { PageHashes } from '../format/page-hashes.ts';
import { mapOrdered } from '../runtime/map-ordered.ts';
import { release } from '../runtime/release.ts';
import { firstBlockOf, type BlockSnapshot } from '../objects/block-snapshot.ts';
import { SnapshotWriter, type ExpectedFacts, type WrittenSnapshot } from '../objects/snapshot-writer.ts';
import type { Store } from '../store/store.ts';
import type { WalPages } from '../image/wal-pages.ts';
import type { WalScan } from '../image/wal-scan.ts';

export interface PatchedSnapshot extends WrittenSnapshot {
  /** Bytes of it that the store copied itself. */
  readonly copied: number;
}

export interface PatchOptions {
  /** The old snapshot's, at any level. */
  readonly codec: Codec;
  /** False for stores that do not copy: then unchanged blocks are fetched and written as they are stored. */
  readonly copies: boolean;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Stored bytes fetched by one request, unless a block has more, and requests ahead of what is written. */
const RUN_BYTES = 2 << 20;
const AHEAD = 3;

/**
 * Writes the snapshot; see {@link SnapshotWriter.finish} for what is checked before it becomes visible and how it fails.
 */
export async function patchSnapshot(
  store: Store,
  old: BlockSnapshot,
  facts: ExpectedFacts,
  wal: { readonly scan: WalScan; readonly pages: WalPages },
  options: PatchOptions,
): Promise<PatchedSnapshot> {
  const { codec, onProgress } = options;
  const copies = options.copies && old.size >= store.limits.minCopySource;
  const writer = new SnapshotWriter(store, facts, codec, { copies });
  try {
    const hashes = await old.hashes();
    hashes.commit(Math.min(old.facts.pages, wal.scan.fewest));
    const blocks = new ChangedBlocks(old, facts, wal.scan);
    const patcher = new Patcher(old, blocks, wal.pages, codec, hashes);
    const lengths = Float64Array.from({ length: blocks.count }, (_, block) => blocks.storedLength(block));
    const unchanged = (block: number): boolean => blocks.unchanged(block);
    const plan = (from: number, open: number): BlockRange[] =>
      copies ? planCopies({ lengths, unchanged, from, open, least: writer.leastCopy }) : [];

    let next = 0;
    /** Bytes written since the last copied range. */
    let open = firstBlockOf(codec);
    let ranges = plan(next, open);
    while (next < blocks.count) {
      for await (const piece of fetched(old, blocks, next, ranges)) {
        if ('stored' in piece) {
          for (const stored of piece.stored) {
            const block = next++;
            const isUnchanged = blocks.unchanged(block);
            const bytes = isUnchanged ? stored! : await patcher.patch(block, stored);
            await writer.append(bytes, isUnchanged ? old.table[block]!.crc : crc32(bytes));
            open += bytes.length;
            if (!isUnchanged) release(bytes);
          }
          if (piece.body !== undefined) release(piece.body);
        } else if (open < writer.leastCopy) {
          // What was encoded came out smaller than it was: it takes some more blocks to be a part.
          ranges = plan(next, open);
          break;
        } else {
          await writer.copy(old, piece.first, piece.end);
          next = piece.end;
          open = 0;
        }
        if (next >= (ranges.at(-1)?.end ?? 0)) await writer.noMoreCopies();
        onProgress?.(blocks.bytesBefore(next), blocks.bytesBefore(blocks.count));
      }
    }
    hashes.commit(facts.pages);
    return { ...(await writer.finish(hashes)), copied: writer.copied };
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** Blocks from `first` on that are written; as stored in the old snapshot, where anything of them is still needed. */
interface FetchedRun {
  readonly stored: readonly (Buffer | undefined)[];
  /** What they are parts of. */
  readonly body: Buffer | undefined;
}

/** The ranges to copy, and all blocks between them, in order; the latter fetched ahead of the consumer. */
function fetched(
  old: BlockSnapshot,
  blocks: ChangedBlocks,
  start: number,
  ranges: readonly BlockRange[],
): AsyncGenerator<BlockRange | FetchedRun> {
  return mapOrdered(pieces(old, blocks, start, ranges), AHEAD, async (piece) => {
    if ('copied' in piece) return piece.copied;
    const { first, end } = piece;
    if (!blocks.needsOld(first)) return { stored: new Array<undefined>(end - first).fill(undefined), body: undefined };
    const run = { first, last: end - 1 };
    const body = await old.fetch(run);
    return { stored: old.cut(run, body), body };
  });
}

function* pieces(
  old: BlockSnapshot,
  blocks: ChangedBlocks,
  start: number,
  ranges: readonly BlockRange[],
): Generator<{ readonly copied: BlockRange } | BlockRange> {
  let first = start;
  for (const range of [...ranges, { first: blocks.count, end: blocks.count }]) {
    while (first < range.first) {
      const needed = blocks.needsOld(first);
      let end = first + 1;
      const fits = (): boolean => !needed || old.rangeOf({ first, last: end }).length <= RUN_BYTES;
      while (end < range.first && blocks.needsOld(end) === needed && fits()) end++;
      yield { first, end };
      first = end;
    }
    if (range.end > range.first) yield { copied: range };
    first = range.end;
  }
}

/** Makes changed blocks: the old pages that still count, and the WAL's over them. */
class Patcher {
  readonly #old: BlockSnapshot;
  readonly #blocks: ChangedBlocks;
  readonly #wal: WalPages;
  readonly #codec: Codec;
  readonly #hashes: PageHashes;

  constructor(old: BlockSnapshot, blocks: ChangedBlocks, wal: WalPages, codec: Codec, hashes: PageHashes) {
    this.#old = old;
    this.#blocks = blocks;
    this.#wal = wal;
    this.#codec = codec;
    this.#hashes = hashes;
  }

  /** Records the hash of each page, of those too that did not change: bytes that were read are proven. */
  async patch(block: number, stored: Buffer | undefined): Promise<Buffer> {
    const first = this.#blocks.firstPage(block);
    const overlay = await this.#wal.covering(first);
    const kept = stored === undefined ? 0 : this.#blocks.keptOf(block);
    // From here on nothing else is unpacked: all of it is done in the one room for blocks.
    const raw = blockBuffer(this.#blocks.rawLength(block));
    if (stored !== undefined) this.#old.decode(block, stored, blockBuffer(BLOCK_SIZE));
    raw.fill(0, kept);
    overlay?.applyTo(raw, first);
    const { pageSize } = this.#hashes;
    this.#hashes.setHashes(first, hashBlockBuffer(first, pageSize, raw.length / pageSize));
    return this.#codec.encodeBlock(raw);
  }
}
