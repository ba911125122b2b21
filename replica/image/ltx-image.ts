/**
 * The image of a database from LTX files: the first file's pages, with those of the later files laid over them. Every
 * file is read to its end, so every file's checksum has held before the image is complete.
 */
import { corrupt } from '../terms/errors.ts';
import { BLOCK_SIZE } from '../format/block-size.ts';
import { PageHashes } from '../format/page-hashes.ts';
import type { Image } from './image.ts';
import type { ImageResult } from './image-proof.ts';
import { mapOrdered } from '../runtime/map-ordered.ts';
import { WalPageCache } from './wal-page-cache.ts';
import type { Store } from '../store/store.ts';
import { lockPage } from '../wal/format.ts';
import { checksumStep, recorded, type LtxHeader } from '../ltx/format.ts';
import type { LtxRef } from '../ltx/layout.ts';
import { readLtx, readLtxHeader } from '../ltx/reader.ts';

/** Headers read at a time. */
const AHEAD = 16;

/** The files that make a state, oldest first, with their headers. The first file holds the whole database. */
export interface LtxChain {
  readonly files: readonly LtxRef[];
  readonly headers: readonly LtxHeader[];
}

/** Reads the headers of the files. Throws `corrupt` if headers do not fit each other or their keys. */
export async function readChain(store: Store, files: readonly LtxRef[]): Promise<LtxChain> {
  const headers: LtxHeader[] = [];
  for await (const header of mapOrdered(files, AHEAD, (file) => readLtxHeader(store, file))) {
    const { pageSize = header.pageSize } = headers[0] ?? {};
    if (header.pageSize !== pageSize) {
      const message = `pages of ${header.pageSize} bytes after ${pageSize} in older files`;
      throw corrupt('PAGE_SIZE_CHANGED', message, { key: files[headers.length]!.key });
    }
    headers.push(header);
  }
  return { files, headers };
}

/**
 * Opens the image. Throws `corrupt`, `missing`, `unreachable`, `denied`.
 *
 * @param memory bytes of pages held at a time; if the later files have more, they are read several times
 */
export async function openLtxImage(store: Store, chain: LtxChain, position: string, memory: number): Promise<Image> {
  const image = new LtxImage(store, chain, position, Math.max(memory, 2 * BLOCK_SIZE));
  await image.scan();
  return image;
}

class LtxImage implements Image {
  readonly position: string;
  readonly pageSize: number;
  readonly pages: number;
  readonly #store: Store;
  readonly #chain: LtxChain;
  readonly #memory: number;
  /** The fewest pages the database had on the way; pages after these are not the first file's any more. */
  readonly #fewest: number;
  readonly #hashes: PageHashes;
  readonly #overlay: WalPageCache;
  #part: WalPageCache;
  #frames = 0;
  /** The database checksum that the last file records. */
  #recorded = 0n;
  #done = false;

  constructor(store: Store, chain: LtxChain, position: string, memory: number) {
    const { pageSize, pages } = chain.headers.at(-1)!;
    this.#store = store;
    this.#chain = chain;
    this.#memory = memory;
    this.position = position;
    this.pageSize = pageSize;
    this.pages = pages;
    this.#fewest = chain.headers.reduce((fewest, { pages }) => Math.min(fewest, pages), Infinity);
    this.#hashes = new PageHashes(pageSize, pages);
    this.#overlay = new WalPageCache(pageSize, memory);
    this.#part = this.#overlay;
  }

  async scan(): Promise<void> {
    this.#frames = await this.#readInto(this.#overlay, () => true);
  }

  async *blocks(): AsyncGenerator<Buffer> {
    const { pageSize, pages } = this;
    const perBlock = BLOCK_SIZE / pageSize;
    const base = new BasePages(this.#store, this.#chain.files[0]!);
    let sum = recorded(0n);
    try {
      for (let first = 1; first <= pages; first += perBlock) {
        const block = Buffer.alloc(Math.min(perBlock, pages - first + 1) * pageSize);
        await base.fill(block, first, Math.min(first + perBlock - 1, this.#fewest), pageSize);
        (await this.#covering(first, perBlock)).applyTo(block, first);
        for (let at = 0, page = first; at < block.length; at += pageSize, page++) {
          const content = block.subarray(at, at + pageSize);
          this.#hashes.set(page, content);
          if (this.#chain.headers[0]!.tracksChecksum && page !== lockPage(pageSize))
            sum = checksumStep(sum, page, content);
        }
        yield block;
      }
      const after = await base.end();
      if (this.#chain.files.length === 1) this.#recorded = after;
    } finally {
      await base.close();
    }
    this.#hashes.commit(pages);
    if (this.#recorded !== 0n && this.#recorded !== sum) {
      throw corrupt('RESTORE_CHECKSUM', 'the restored pages do not add up to the database checksum that it records', {
        key: this.#chain.files.at(-1)!.key,
        expected: this.#recorded.toString(16),
        actual: sum.toString(16),
      });
    }
    this.#done = true;
  }

  result(): ImageResult {
    if (!this.#done) throw new Error('the image has not been read to its end');
    return {
      pages: this.pages,
      checksum: this.#hashes.checksum,
      proof: this.#recorded === 0n ? 'files' : 'recorded',
      frames: this.#frames,
      walPages: this.#overlay.pages,
    };
  }

  /** The later files' pages from `first` on, as many as fit. */
  async #covering(first: number, perBlock: number): Promise<WalPageCache> {
    if (this.#overlay.complete) return this.#overlay;
    if (this.#part === this.#overlay || first > this.#part.last) {
      if (this.#part === this.#overlay) this.#part = new WalPageCache(this.pageSize, this.#memory);
      const most = Math.floor(this.#memory / this.pageSize);
      this.#part.restrict(first, this.#overlay.rangeWithin(first, perBlock, most));
      await this.#readInto(this.#part, (page) => this.#overlay.has(page));
    }
    return this.#part;
  }

  async #readInto(overlay: WalPageCache, wanted: (page: number) => boolean): Promise<number> {
    let read = 0;
    for (const [at, file] of this.#chain.files.entries()) {
      if (at === 0) continue;
      const pages = readLtx(this.#store, file);
      for (;;) {
        const next = await pages.next();
        if (next.done === true) {
          this.#recorded = next.value.after;
          break;
        }
        const { page, content } = next.value;
        if (wanted(page)) overlay.put(page, content);
        read++;
      }
      overlay.truncate(this.#chain.headers[at]!.pages);
    }
    return read;
  }
}

/** The first file's pages, in order. */
class BasePages {
  readonly #pages: ReturnType<typeof readLtx>;
  #next: Awaited<ReturnType<ReturnType<typeof readLtx>['next']>> | undefined;

  constructor(store: Store, file: LtxRef) {
    this.#pages = readLtx(store, file);
  }

  /** Copies pages up to `last` into `block`, which begins with page `first`. */
  async fill(block: Buffer, first: number, last: number, pageSize: number): Promise<void> {
    for (;;) {
      this.#next ??= await this.#pages.next();
      if (this.#next.done === true || this.#next.value.page > last) return;
      const { page, content } = this.#next.value;
      content.copy(block, (page - first) * pageSize);
      this.#next = undefined;
    }
  }

  /** Reads the rest, which checks the file's checksum; returns the database checksum it records. */
  async end(): Promise<bigint> {
    while (this.#next?.done !== true) this.#next = await this.#pages.next();
    return this.#next.value.after;
  }

  async close(): Promise<void> {
    await this.#pages.return({ after: 0n, fileChecksum: 0n });
  }
}
