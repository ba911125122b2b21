/**
 * Reads single pages of a past state without restoring it: from the WAL after the snapshot if that has the page,
 * otherwise from the snapshot's block that holds it.
 *
 * Opening reads the WAL since the snapshot once, and none of the snapshot's pages. A page then costs two ranged requests,
 * for its block and the block's page hashes, or nothing if they are already held. So the cost grows with the WAL since
 * the snapshot, which compaction bounds, and not with the database.
 */
import { corrupt, withKey } from '../../terms/errors.ts';
import { firstPageSize, ForeignBlocks } from '../../objects/foreign-snapshot.ts';
import { BLOCK_SIZE } from '../../format/block-size.ts';
import { checkPageHash } from '../../format/page-hashes.ts';
import { PAGE_HASH } from '../../format/snapshot.ts';
import { DEFAULT_MEMORY } from '../image.ts';
import { segmentKey } from '../../terms/layout.ts';
import { mapOrdered } from '../../runtime/map-ordered.ts';
import { assertPages, type PastState } from './past-state.ts';
import type { RestorePlan } from '../../plan/plan.ts';
import { positionIn } from '../../catalogue/generation.ts';
import { ReadCache } from '../../runtime/read-cache.ts';
import { readSegmentPieces, type SegmentRef } from '../../objects/segment-reader.ts';
import type { BlockSnapshot } from '../../objects/block-snapshot.ts';
import { isBlockSnapshot, openSnapshot, type OpenSnapshot } from '../../objects/snapshot-reader.ts';
import type { Store } from '../../store/store.ts';
import { WalPlaces } from './wal-places.ts';
import { walkWal, type WalWalk } from '../wal-scan.ts';

/** Options of {@link openAt} and their defaults. */
export interface OpenAtOptions {
  /** Bytes of pages and blocks held for the next reader. */
  readonly memory?: number;
}

/** Blocks that `readPages` asks for at the same time. */
const BLOCKS_AHEAD = 4;

/**
 * Opens the state of a plan for reading single pages.
 *
 * Each page is compared with its recorded hash, and WAL frames with the WAL's own chain, so damage to what is read is
 * found. Only a restore or `verify`, which read all pages, prove that they together are the state that was live.
 * Snapshots that another program wrote have no block table, so they are read from the start up to the page.
 *
 * Throws `missing`, `corrupt`, `unreachable`, `denied`.
 */
export async function openPages(store: Store, plan: RestorePlan, options: OpenAtOptions = {}): Promise<PastState> {
  const snapshot = await openSnapshot(store, plan.generation.id, plan.snapshot);
  const cache = new ReadCache(Math.max(options.memory ?? DEFAULT_MEMORY, 2 * BLOCKS_AHEAD * BLOCK_SIZE));
  const places = new WalPlaces();
  const walk = await walkWal(store, plan, snapshot, () => ({
    put(frame, segment) {
      places.put(frame, segment);
      cache.put(nameOf(frame.page), Buffer.from(frame.content));
      return undefined;
    },
    commit(pages) {
      places.truncate(pages);
      return undefined;
    },
  }));
  const pageSize = walk.pageSize ?? snapshot.facts?.pageSize ?? (await firstPageSize(snapshot));
  const pages = walk.pages ?? snapshot.facts?.pages ?? (await countPages(snapshot, pageSize));
  return new ReplicaState(store, plan, snapshot, walk, { pageSize, pages }, places, cache);
}

class ReplicaState implements PastState {
  readonly position: string;
  readonly time: number;
  readonly pageSize: number;
  readonly pages: number;
  readonly #store: Store;
  readonly #plan: RestorePlan;
  readonly #places: WalPlaces;
  readonly #cache: ReadCache;
  readonly #blocks: BlockSnapshot | ForeignBlocks;
  /** Bytes of a block of the snapshot, but for the last. */
  readonly #blockSize: number;
  /** The first page that is not the snapshot's. */
  readonly #beyond: number;
  #closed = false;

  constructor(
    store: Store,
    plan: RestorePlan,
    snapshot: OpenSnapshot,
    walk: WalWalk,
    size: { readonly pageSize: number; readonly pages: number },
    places: WalPlaces,
    cache: ReadCache,
  ) {
    this.#store = store;
    this.#plan = plan;
    this.#places = places;
    this.#cache = cache;
    this.#blocks = isBlockSnapshot(snapshot) ? snapshot : new ForeignBlocks(snapshot);
    this.#blockSize = isBlockSnapshot(snapshot) ? snapshot.footer.blockPages * size.pageSize : BLOCK_SIZE;
    this.#beyond = Math.min(walk.fewest, snapshot.facts?.pages ?? Number.MAX_SAFE_INTEGER) + 1;
    this.position = positionIn(plan.generation, walk.end);
    this.time = plan.time;
    this.pageSize = size.pageSize;
    this.pages = size.pages;
  }

  async readPage(page: number): Promise<Buffer> {
    return this.readPages(page, 1);
  }

  async readPages(first: number, count: number): Promise<Buffer> {
    if (this.#closed) throw new TypeError(`the state at ${this.position} was closed`);
    assertPages(this, first, count);
    const { pageSize } = this;
    const result = Buffer.allocUnsafe(count * pageSize);
    const asked = Array.from({ length: count }, (_, i) => first + i);
    let at = 0;
    for await (const content of mapOrdered(asked, (BLOCKS_AHEAD * BLOCK_SIZE) / pageSize, (page) => this.#page(page))) {
      at += content.copy(result, at);
    }
    return result;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cache.clear();
    if (this.#blocks instanceof ForeignBlocks) await this.#blocks.close();
  }

  async #page(page: number): Promise<Buffer> {
    const { pageSize } = this;
    const segment = this.#places.segmentOf(page);
    if (segment !== undefined) return this.#cache.get(nameOf(page), pageSize, () => this.#fromWal(page, segment));
    if (page >= this.#beyond) return Buffer.alloc(pageSize); // nobody ever wrote it
    const block = Math.floor(((page - 1) * pageSize) / this.#blockSize);
    const raw = await this.#cache.get(`block ${block}`, this.#blockSize, () => this.#block(block));
    const at = (page - 1) * pageSize - block * this.#blockSize;
    if (at + pageSize > raw.length) return Buffer.alloc(pageSize); // after the end of another program's snapshot
    return raw.subarray(at, at + pageSize);
  }

  async #block(block: number): Promise<Buffer> {
    if (this.#blocks instanceof ForeignBlocks) return this.#blocks.block(block);
    const { key } = this.#blocks;
    const [raw, hashes] = await Promise.all([this.#blocks.block(block), this.#blocks.hashesOf(block)]);
    const { pageSize } = this;
    const before = (block * this.#blockSize) / pageSize;
    for (let i = 0; i * pageSize < raw.length; i++) {
      const content = raw.subarray(i * pageSize, (i + 1) * pageSize);
      checkPage('SNAPSHOT_PAGE_HASH', key, before + i + 1, content, hashes.readBigUInt64LE(i * PAGE_HASH));
    }
    return raw;
  }

  /** Reads a segment again, and keeps the other pages whose newest version it holds. */
  async #fromWal(page: number, segment: SegmentRef): Promise<Buffer> {
    const { pageSize } = this;
    const { id } = this.#plan.generation;
    const key = segmentKey(id, segment.index, segment.offset, segment.codec);
    const places = this.#places.in(segment);
    let found: Buffer | undefined;
    let held: Buffer = Buffer.alloc(0);
    let start = 0;
    for await (const { raw } of readSegmentPieces(this.#store, id, segment)) {
      held = held.length === 0 ? raw : Buffer.concat([held, raw]);
      for (const { page: each, at, hash } of places) {
        if (at < start || at + pageSize > start + held.length) continue;
        const content = Buffer.from(held.subarray(at - start, at - start + pageSize));
        checkPage('WAL_PAGE_HASH', key, each, content, hash);
        if (each === page) found = content;
        else this.#cache.put(nameOf(each), content);
      }
      const passed = Math.max(0, held.length - pageSize + 1);
      held = held.subarray(passed);
      start += passed;
    }
    if (found === undefined) throw corrupt('SEGMENT_LENGTH', 'the segment is shorter than it was', { key });
    return found;
  }
}

function checkPage(code: string, key: string, page: number, content: Buffer, recorded: bigint): void {
  try {
    checkPageHash(code, page, content, recorded);
  } catch (error) {
    throw withKey(error, key);
  }
}

function nameOf(page: number): string {
  return `page ${page}`;
}

async function countPages(snapshot: OpenSnapshot, pageSize: number): Promise<number> {
  let bytes = 0;
  for await (const block of snapshot.blocks()) bytes += block?.length ?? 0;
  return bytes / pageSize;
}
