/**
 * Writes a past state into a file as fast as the disk takes it: first the WAL is read, and of its pages what
 * memory does not hold is written to where it belongs; then the snapshot's blocks are fetched side by side and in any
 * order, and written with the pages that are held and without those that the file has. So the WAL is read once whatever
 * its size, each byte of the file is written about once, and memory is bounded: the blocks under way, the budget for
 * WAL pages, and nine bytes for each page of the database.
 */
import { withKey } from './errors.ts';
import { firstPageSize } from './foreign-snapshot.ts';
import { BLOCK_SIZE } from './format/lz4.ts';
import { hashPage, PageHashes } from './format/page-hashes.ts';
import { proveState, type ImageResult } from './image-proof.ts';
import { inLanes } from './lanes.ts';
import type { RestorePlan } from './plan.ts';
import { PAGE, unpackRun, type PackedBlock, type PackedRun } from './run-unpacking.ts';
import { RUNS_AHEAD, type BlockRun, type BlockSnapshot } from './snapshot-blocks.ts';
import { isBlockSnapshot, type OpenSnapshot } from './snapshot-reader.ts';
import type { Store } from './store/store.ts';
import { UnpackingPool, worthwhileThreads } from './unpacking-pool.ts';
import { walkWal, type WalWalk } from './wal-scan.ts';
import { WalWriter } from './wal-writer.ts';
import type { PageFile } from './written-file.ts';

/** Bytes of WAL pages held in memory. */
const WRITE_MEMORY = 16 << 20;
/** What a thread fetches by one request. */
const LONG_RUNS = { bytes: 2 << 20, blocks: 16 };
/** So often in a row threads may fail to read by themselves before they are not asked to any more. */
const MOST_REFUSALS = 4;

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
  const memory = Math.max(options.memory ?? WRITE_MEMORY, 2 * BLOCK_SIZE);
  // Threads start while the WAL is read.
  const ours = isBlockSnapshot(snapshot) ? snapshot : undefined;
  const threads =
    ours === undefined || file.fd === undefined ? 0 : (options.threads ?? worthwhileThreads(ours.table.length));
  await using pool = new UnpackingPool(threads);
  let hashes: PageHashes | undefined;
  let wal: WalWriter | undefined;
  const walk = await walkWal(store, plan, snapshot, (pageSize) => {
    hashes = new PageHashes(pageSize, snapshot.facts?.pages);
    const total = plan.proof && plan.proof.state.pages * pageSize;
    return (wal = new WalWriter(file, hashes, memory, () => options.onProgress?.(0, total)));
  });
  hashes ??= new PageHashes(snapshot.facts?.pageSize ?? (await firstPageSize(snapshot)), snapshot.facts?.pages);
  const base = new BaseWriter(file, hashes, walk, walk.pages ?? snapshot.facts?.pages, wal, options.onProgress);
  if (ours === undefined) {
    await wal?.finish(0);
    await base.writeStream(snapshot);
  } else {
    await wal?.finish(base.covered(ours));
    await base.writeBlocks(ours, pool);
  }
  wal?.close();
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
  /** Tickets in a row that were of no use. */
  #refusals = 0;

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

  /** The last page of the blocks that `writeBlocks` writes. */
  covered({ facts, footer: { blockPages } }: BlockSnapshot): number {
    return Math.min(facts.pages, Math.ceil(this.#last / blockPages) * blockPages);
  }

  /** Also those whose pages the WAL has all: few, and damage in them had better be known. */
  async writeBlocks(snapshot: BlockSnapshot, pool: UnpackingPool): Promise<void> {
    const { blockPages } = snapshot.footer;
    const wanted = (block: number): boolean => block * blockPages < this.#last;
    const lanes = pool.lanes;
    const runs = lanes === 0 ? snapshot.runs(wanted) : snapshot.runs(wanted, LONG_RUNS);
    await inLanes(runs, lanes === 0 ? RUNS_AHEAD : lanes, async (run) => {
      const packed = this.#pack(snapshot, run);
      const hashes = (await this.#unpackElsewhere(snapshot, run, packed, pool)) ?? (await this.#unpackHere(snapshot, run, packed)); // prettier-ignore
      const { firstPage, pages } = packed;
      for (const [i, owner] of pages.entries()) {
        if (owner !== PAGE.passedOver) this.#hashes.setHash(firstPage + i, hashes[i]!);
      }
      this.#progress(pages.length * packed.pageSize);
    });
  }

  #pack(snapshot: BlockSnapshot, run: BlockRun): PackedRun {
    const { codec, blockPages } = snapshot.footer;
    const { pageSize } = snapshot.facts;
    const { offset, length } = snapshot.rangeOf(run);
    const blocks: PackedBlock[] = [];
    let count = 0;
    for (let block = run.first; block <= run.last; block++) {
      const { crc, length } = snapshot.table[block]!;
      const rawLength = snapshot.rawLength(block);
      blocks.push({ block, at: snapshot.offsets[block]! - offset, length, crc, rawLength });
      count += rawLength / pageSize;
    }
    const firstPage = run.first * blockPages + 1;
    const patches: Buffer[] = [];
    const pages = Uint8Array.from({ length: count }, (_, i) => {
      const held = this.#wal?.held(firstPage + i);
      if (held === undefined) return this.#isOwn(firstPage + i) ? PAGE.snapshot : PAGE.passedOver;
      patches.push(held);
      return PAGE.patched;
    });
    return { codec, pageSize, firstPage, length, blocks, pages, patches: Buffer.concat(patches) };
  }

  async #unpackElsewhere(
    snapshot: BlockSnapshot,
    run: BlockRun,
    packed: PackedRun,
    pool: UnpackingPool,
  ): Promise<BigUint64Array | undefined> {
    if (pool.lanes === 0) return undefined;
    const ticket = this.#refusals < MOST_REFUSALS ? await snapshot.ticket(run) : undefined;
    let hashes = ticket && (await pool.unpack(packed, ticket, this.#file.fd!));
    if (ticket !== undefined) this.#refusals = hashes === undefined ? this.#refusals + 1 : 0;
    hashes ??= await pool.unpack(packed, await snapshot.fetch(run), this.#file.fd!);
    if (hashes !== undefined) this.#file.wrote?.(packed.pages.length * packed.pageSize);
    return hashes;
  }

  async #unpackHere(snapshot: BlockSnapshot, run: BlockRun, packed: PackedRun): Promise<BigUint64Array> {
    const stored = await snapshot.fetch(run);
    const hashes = new BigUint64Array(packed.pages.length);
    try {
      for (const { bytes, position } of unpackRun(packed, stored, hashes)) await this.#file.write(bytes, position);
    } catch (error) {
      throw withKey(error, snapshot.key);
    }
    return hashes;
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
  async #write(first: number, raw: Buffer): Promise<void> {
    const { pageSize } = this.#hashes;
    const count = raw.length / pageSize;
    for (let from = 0; from < count;) {
      let to = from;
      for (; to < count && this.#isOwn(first + to); to++) {
        this.#hashes.setHash(first + to, hashPage(first + to, raw.subarray(to * pageSize, (to + 1) * pageSize)));
      }
      if (to > from)
        await this.#file.write(raw.subarray(from * pageSize, to * pageSize), (first + from - 1) * pageSize);
      from = to + 1;
    }
    this.#progress(raw.length);
  }

  #progress(bytes: number): void {
    this.#done += bytes;
    const total = this.#pages === undefined ? undefined : this.#pages * this.#hashes.pageSize;
    this.#onProgress?.(total === undefined ? this.#done : Math.min(this.#done, total), total);
  }
}
