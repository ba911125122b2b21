/** Writes the pages of a WAL to their places in a file. */
import type { PageHashes } from '../../format/page-hashes.ts';
import { hashPage } from '../../format/xxhash.ts';
import { forEachConcurrent } from '../../runtime/for-each-concurrent.ts';
import { WalPageCache } from '../wal-page-cache.ts';
import type { WalSink } from '../wal-scan.ts';
import type { Frame } from '../../wal/cursor.ts';
import type { WriteProgress } from './write-progress.ts';
import type { PageFile } from './target-file.ts';

/** Most bytes of one write of adjacent pages. */
const MOST_AT_ONCE = 1 << 20;
/** Writes under way at a time. */
const WRITES = 8;

/** The snapshot's blocks, which are written into the same file while the WAL is read. */
export interface BlocksBelow {
  /** The highest page that one of them may have written, or will. */
  readonly reach: number;
  /** Blocks that are begun from now on are written without pages after `pages`, and without those of the WAL's writer. */
  limit(pages: number): void;
  /**
   * Resolves when no block is under way. None is begun until `resume`, because concurrent writes to one file wait for
   * each other, and small writes wait longer than they take.
   */
  pause(): Promise<void>;
  resume(): void;
}

/** Collects pages in memory, so that few versions of a page that changes often are written, and adjacent pages at once. */
export class WalWriter implements WalSink {
  readonly #file: PageFile;
  readonly #hashes: PageHashes;
  readonly #overlay: WalPageCache;
  readonly #progress: WriteProgress;
  readonly #below: BlocksBelow | undefined;
  /** The highest page written so far. */
  #reach = 0;

  /** @param memory bytes of pages to collect */
  constructor(file: PageFile, hashes: PageHashes, memory: number, progress: WriteProgress, below?: BlocksBelow) {
    this.#file = file;
    this.#hashes = hashes;
    this.#overlay = new WalPageCache(hashes.pageSize, memory);
    this.#progress = progress;
    this.#below = below;
  }

  /** How many different pages the WAL has. */
  get pages(): number {
    return this.#overlay.pages;
  }

  has(page: number): boolean {
    return this.#overlay.has(page);
  }

  put({ page, content }: Frame): Promise<void> | undefined {
    if (this.#overlay.full && !this.#overlay.holds(page)) {
      return this.#flush().then(() => {
        this.#overlay.put(page, content);
      });
    }
    this.#overlay.put(page, content);
    return undefined;
  }

  commit(pages: number): Promise<void> | undefined {
    this.#progress.add(0);
    this.#overlay.truncate(pages);
    if (pages < Math.max(this.#reach, this.#below?.reach ?? 0)) return this.#cut(pages);
    this.#below?.limit(pages);
    return undefined;
  }

  /** The content of a page that has not been written; valid until `close`. */
  held(page: number): Buffer | undefined {
    return this.#overlay.content(page);
  }

  /** Writes the pages in memory, except those that `leave` names: the caller writes them, see `held`. */
  async finish(leave: (page: number) => boolean = () => false): Promise<void> {
    await this.#write(leave);
  }

  /** Gives the memory back. It stays known which pages there are. */
  close(): void {
    this.#overlay.close();
  }

  async #flush(): Promise<void> {
    await this.#below?.pause();
    await this.#write(() => false);
    this.#overlay.release();
    this.#below?.resume();
  }

  async #write(leave: (page: number) => boolean): Promise<void> {
    const { pageSize } = this.#overlay;
    await forEachConcurrent(this.#runs(leave), WRITES, async ({ first, contents }) => {
      const bytes = contents.length === 1 ? contents[0]! : Buffer.concat(contents);
      await this.#file.write(bytes, (first - 1) * pageSize);
    });
  }

  *#runs(leave: (page: number) => boolean): Generator<{ readonly first: number; readonly contents: Buffer[] }> {
    const most = MOST_AT_ONCE / this.#overlay.pageSize;
    let run: { readonly first: number; readonly contents: Buffer[] } | undefined;
    for (const { page, content } of this.#overlay.held()) {
      if (leave(page)) continue;
      this.#hashes.setHash(page, hashPage(page, content));
      this.#reach = Math.max(this.#reach, page);
      if (run !== undefined && (page !== run.first + run.contents.length || run.contents.length === most)) {
        yield run;
        run = undefined;
      }
      run ??= { first: page, contents: [] };
      run.contents.push(content);
    }
    if (run !== undefined) yield run;
  }

  /** Cuts the file off. Pages after the new end must read as zeros if the database grows again. */
  async #cut(pages: number): Promise<void> {
    const reach = Math.max(this.#reach, this.#below?.reach ?? 0);
    this.#below?.limit(pages);
    await this.#below?.pause();
    for (let page = pages + 1; page <= reach; page++) this.#hashes.setHash(page, 0n);
    this.#reach = Math.min(this.#reach, pages);
    await this.#file.truncate(pages * this.#overlay.pageSize);
    this.#below?.resume();
  }
}
