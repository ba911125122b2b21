/**
 * The image of a database at a point: its pages in order, from a snapshot and the WAL laid over it.
 *
 * A restore into an object uses this, because it needs the pages in order and has no disk. (A file is written in any
 * order, which is faster: see image-writer.ts.) Memory is bounded, however large database and WAL are: if the WAL's
 * pages exceed the budget, the image is made in passes over page ranges, and each pass reads the WAL again.
 */
import { firstPageSize } from '../objects/foreign-snapshot.ts';
import { PageHashes } from '../format/page-hashes.ts';
import { BLOCK_SIZE } from '../format/block-size.ts';
import { proveState, type ImageResult } from './image-proof.ts';
import type { WalPageCache } from './wal-page-cache.ts';
import { WalPages } from './wal-pages.ts';
import { scanWal, type WalScan } from './wal-scan.ts';
import type { RestorePlan } from '../plan/plan.ts';
import { positionIn } from '../catalogue/generation.ts';
import { openSnapshot, type OpenSnapshot } from '../objects/snapshot-reader.ts';
import type { Store } from '../store/store.ts';

/** Bytes of WAL pages held in memory at a time, by default. */
export const DEFAULT_MEMORY = 24 << 20;
/** Two blocks: less would not hold the pages of one block. */
export const LEAST_MEMORY = 2 * BLOCK_SIZE;

/** A past state that is read as the database file it stands for, once and in order. */
export interface Image {
  /** Bytes; known before the first block. */
  readonly pageSize: number;
  /** Pages of the state; undefined for another program's snapshot without WAL, because only its end tells. */
  readonly pages: number | undefined;
  /** The exact end of what is applied, as one would ask for it. */
  readonly position: string;
  /**
   * The database file in pieces of 1 MiB, in order. After the last one the page hashes are compared with the recorded
   * checksum; a difference throws `corrupt` (RESTORE_CHECKSUM), so nothing may be made visible before the end.
   */
  blocks(): AsyncGenerator<Buffer>;
  /** What was proven. Throws Error before the last block was read. */
  result(): ImageResult;
}

/**
 * Reads the WAL of a plan once, and opens the image. Throws `corrupt`, `point`, `missing`, `unreachable`, `denied`.
 *
 * @param options.memory bytes of WAL pages held at a time; at least LEAST_MEMORY are used
 */
export async function openImage(
  store: Store,
  plan: RestorePlan,
  options: { readonly memory?: number } = {},
): Promise<Image> {
  const snapshot = await openSnapshot(store, plan.generation.id, plan.snapshot);
  const memory = Math.max(options.memory ?? DEFAULT_MEMORY, LEAST_MEMORY);
  const scan = await scanWal(store, plan, memory, snapshot);
  const pageSize = scan.pageSize ?? snapshot.facts?.pageSize ?? (await firstPageSize(snapshot));
  return new WalImage(plan, snapshot, scan, new WalPages(store, plan, scan, memory), pageSize);
}

class WalImage implements Image {
  readonly pageSize: number;
  readonly position: string;
  readonly #plan: RestorePlan;
  readonly #snapshot: OpenSnapshot;
  readonly #scan: WalScan;
  readonly #wal: WalPages;
  readonly #hashes: PageHashes;
  #seen = 0;
  #done = false;

  constructor(plan: RestorePlan, snapshot: OpenSnapshot, scan: WalScan, wal: WalPages, pageSize: number) {
    this.#plan = plan;
    this.#snapshot = snapshot;
    this.#scan = scan;
    this.#wal = wal;
    this.pageSize = pageSize;
    this.position = positionIn(plan.generation, scan.end);
    this.#hashes = new PageHashes(pageSize, this.pages ?? 0);
  }

  get pages(): number | undefined {
    return this.#scan.pages ?? this.#snapshot.facts?.pages;
  }

  async *blocks(): AsyncGenerator<Buffer> {
    const perBlock = BLOCK_SIZE / this.pageSize;
    const total = this.pages === undefined ? Number.MAX_SAFE_INTEGER : Math.ceil(this.pages / perBlock);
    const base = this.#snapshot.blocks((block) => block * perBlock < this.#scan.fewest);
    try {
      for (let block = 0; block < total; block++) {
        const first = block * perBlock + 1;
        const overlay = await this.#wal.covering(first);
        const next = await base.next();
        const value = next.done === true ? undefined : next.value;
        if (value === undefined && this.pages === undefined) break;
        const raw = this.#compose(block, first, value, overlay);
        for (let at = 0, page = first; at < raw.length; at += this.pageSize, page++) {
          this.#hashes.set(page, raw.subarray(at, at + this.pageSize));
        }
        this.#seen = first - 1 + raw.length / this.pageSize;
        yield raw;
        if (this.pages === undefined && raw.length < BLOCK_SIZE) break;
      }
    } finally {
      await base.return(undefined);
    }
    this.#hashes.commit(this.pages ?? this.#seen);
    proveState(this.#hashes, this.#plan, this.#scan.towardsProof);
    this.#done = true;
  }

  result(): ImageResult {
    if (!this.#done) throw new Error('the image has not been read to its end');
    return {
      pages: this.#hashes.pages,
      checksum: this.#hashes.checksum,
      proof: this.#plan.proof === undefined ? 'frames' : 'recorded',
      frames: this.#scan.frames,
      walPages: this.#scan.overlay?.pages ?? 0,
    };
  }

  /** One block of the state: the snapshot's pages that are still its own, zeros after them, the WAL's pages over both. */
  #compose(block: number, first: number, base: Buffer | undefined, overlay: WalPageCache | undefined): Buffer {
    const pages = this.pages;
    if (pages === undefined) return base!;
    const length = Math.min(BLOCK_SIZE, (pages - first + 1) * this.pageSize);
    const keep = Math.max(0, Math.min(length, (this.#scan.fewest - first + 1) * this.pageSize, base?.length ?? 0));
    let raw: Buffer;
    if (base !== undefined && keep >= length) raw = base.subarray(0, length);
    else {
      raw = Buffer.alloc(length);
      base?.copy(raw, 0, 0, keep);
    }
    overlay?.applyTo(raw, first);
    return raw;
  }
}
