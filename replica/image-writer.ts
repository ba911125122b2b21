/**
 * Writes a past state into a file as fast as the disk takes it: first the WAL's pages to where they belong, then the
 * snapshot's blocks, fetched side by side and in any order, without the pages that the WAL has. So the WAL is read once
 * whatever its size, each byte of the file is written about once, and memory is bounded: the blocks under way, the
 * budget for WAL pages, and nine bytes for each page of the database.
 */
import { firstPageSize } from './foreign-snapshot.ts';
import { BLOCK_SIZE } from './format/lz4.ts';
import { hashPage, PageHashes } from './format/page-hashes.ts';
import { DEFAULT_MEMORY } from './image.ts';
import { proveState, type ImageResult } from './image-proof.ts';
import { inLanes } from './lanes.ts';
import type { RestorePlan } from './plan.ts';
import { RUNS_AHEAD, type BlockSnapshot } from './snapshot-blocks.ts';
import { isBlockSnapshot, type OpenSnapshot } from './snapshot-reader.ts';
import type { Store } from './store/store.ts';
import { UnpackingPool, worthwhileThreads } from './unpacking-pool.ts';
import { walkWal, type WalWalk } from './wal-scan.ts';
import { WalWriter } from './wal-writer.ts';
import type { PageFile } from './written-file.ts';

export interface ImageWriteOptions {
  /** Bytes of WAL pages held in memory. */
  readonly memory?: number;
  /** Threads that decode beside the main one; by default what the machine has, where it pays. */
  readonly threads?: number;
  /** Called now and then with bytes written so far and in all; in all is undefined while it is not known. */
  readonly onProgress?: (done: number, total: number | undefined) => void;
}

export interface WrittenImage extends ImageResult {
  readonly pageSize: number;
  /** The exact end of what is applied. */
  readonly end: WalWalk['end'];
}

/**
 * Writes the state of a plan into an empty file, and compares all of its pages with the recorded checksum: the file is
 * worth nothing unless this returns. `snapshot` is the plan's. Throws `corrupt`, `point`, `missing`, `unreachable`, and
 * what the file throws.
 */
export async function writeImage(
  store: Store,
  plan: RestorePlan,
  snapshot: OpenSnapshot,
  file: PageFile,
  options: ImageWriteOptions = {},
): Promise<WrittenImage> {
  const memory = Math.max(options.memory ?? DEFAULT_MEMORY, 2 * BLOCK_SIZE);
  let hashes: PageHashes | undefined;
  let wal: WalWriter | undefined;
  const walk = await walkWal(store, plan, snapshot, (pageSize) => {
    hashes = new PageHashes(pageSize, snapshot.facts?.pages);
    const total = plan.proof && plan.proof.state.pages * pageSize;
    return (wal = new WalWriter(file, hashes, memory, () => options.onProgress?.(0, total)));
  });
  await wal?.finish();
  hashes ??= new PageHashes(snapshot.facts?.pageSize ?? (await firstPageSize(snapshot)), snapshot.facts?.pages);
  const base = new BaseWriter(file, hashes, walk, walk.pages ?? snapshot.facts?.pages, wal, options.onProgress);
  if (isBlockSnapshot(snapshot)) {
    await using pool = new UnpackingPool(options.threads ?? worthwhileThreads(snapshot.table.length));
    await base.writeBlocks(snapshot, pool);
  } else await base.writeStream(snapshot);
  const { pageSize } = hashes;
  const { pages } = base;
  await file.truncate(pages * pageSize);
  hashes.commit(pages);
  proveState(hashes, plan, walk.towardsProof);
  options.onProgress?.(pages * pageSize, pages * pageSize);
  return {
    pageSize,
    pages,
    checksum: hashes.checksum,
    proof: plan.proof === undefined ? 'frames' : 'recorded',
    frames: walk.frames,
    walPages: wal?.pages ?? 0,
    end: walk.end,
  };
}

/** The pages that are still the snapshot's. */
class BaseWriter {
  readonly #file: PageFile;
  readonly #hashes: PageHashes;
  readonly #wal: WalWriter | undefined;
  readonly #onProgress: ImageWriteOptions['onProgress'];
  /** Pages of the state, where they are known before the snapshot's end. */
  readonly #pages: number | undefined;
  /** Pages behind this one are not the snapshot's. */
  readonly #last: number;
  #seen = 0;
  #done = 0;

  constructor(
    file: PageFile,
    hashes: PageHashes,
    walk: WalWalk,
    pages: number | undefined,
    wal: WalWriter | undefined,
    onProgress: ImageWriteOptions['onProgress'],
  ) {
    this.#file = file;
    this.#hashes = hashes;
    this.#wal = wal;
    this.#onProgress = onProgress;
    this.#pages = pages;
    this.#last = Math.min(walk.fewest, pages ?? Number.MAX_SAFE_INTEGER);
  }

  get pages(): number {
    return this.#pages ?? this.#seen;
  }

  async writeBlocks(snapshot: BlockSnapshot, pool: UnpackingPool): Promise<void> {
    const { codec, blockPages } = snapshot.footer;
    const { pageSize } = snapshot.facts;
    // Also those whose pages the WAL has all: few, and damage in them had better be known.
    const wanted = (block: number): boolean => block * blockPages < this.#last;
    await inLanes(snapshot.runs(wanted), RUNS_AHEAD, async (run) => {
      let block = run.first;
      for (const stored of await snapshot.fetch(run)) {
        const firstPage = block * blockPages + 1;
        const rawLength = snapshot.rawLength(block);
        const { crc } = snapshot.table[block]!;
        const packed = { codec, block, stored, crc, rawLength, pageSize, firstPage };
        await pool.unpack(packed, snapshot.key, ({ raw, hashes }) =>
          this.#write(firstPage, Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength), hashes),
        );
        block++;
      }
    });
  }

  async writeStream(snapshot: OpenSnapshot): Promise<void> {
    const { pageSize } = this.#hashes;
    for await (const raw of snapshot.blocks()) {
      if (raw === undefined) continue;
      const firstPage = this.#seen + 1;
      this.#seen += raw.length / pageSize;
      await this.#write(firstPage, raw);
      if (this.#seen >= this.#last) return;
    }
  }

  #isOwn(page: number): boolean {
    return page <= this.#last && this.#wal?.has(page) !== true;
  }

  /** Writes what is the snapshot's of a block. */
  async #write(first: number, raw: Buffer, hashes?: BigUint64Array): Promise<void> {
    const { pageSize } = this.#hashes;
    const count = raw.length / pageSize;
    for (let from = 0; from < count;) {
      let to = from;
      for (; to < count && this.#isOwn(first + to); to++) {
        const hash = hashes?.[to] ?? hashPage(first + to, raw.subarray(to * pageSize, (to + 1) * pageSize));
        this.#hashes.setHash(first + to, hash);
      }
      if (to > from)
        await this.#file.write(raw.subarray(from * pageSize, to * pageSize), (first + from - 1) * pageSize);
      from = to + 1;
    }
    this.#done += raw.length;
    const total = this.#pages === undefined ? undefined : this.#pages * pageSize;
    this.#onProgress?.(total === undefined ? this.#done : Math.min(this.#done, total), total);
  }
}
