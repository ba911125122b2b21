/** Writes the pages of a WAL to where they belong in a file. */
import type { PageHashes } from '../../format/page-hashes.ts';
import { hashPage } from '../../format/xxhash.ts';
import { forEachConcurrent } from '../../runtime/for-each-concurrent.ts';
import { WalPageCache } from '../wal-page-cache.ts';
import type { WalSink } from '../wal-scan.ts';
import type { Frame } from '../../wal/cursor.ts';
import type { WriteProgress } from './write-progress.ts';
import type { PageFile } from './target-file.ts';

/** Bytes written at once, where pages follow each other. */
const MOST_AT_ONCE = 1 << 20;
const WRITES = 8;

/** The blocks of the snapshot, where they are written into the same file while the WAL is read. */
export interface BlocksBelow {
  /** The highest page that one of them may have written, or will. */
  readonly reach: number;
  /** Those that are begun from now on leave the pages alone that lie behind so many, or that the WAL's writer has. */
  limit(pages: number): void;
  /**
   * Resolves when none is under way; none is begun until `resume`, since what is written to one file side by side waits
   * for each other, and small writes more than they take.
   */
  pause(): Promise<void>;
  resume(): void;
}

/** Pages gather in memory, so that of those that change often only few versions are written, and runs of them at once. */
export class WalWriter implements WalSink {
  readonly #file: PageFile;
  readonly #hashes: PageHashes;
  readonly #overlay: WalPageCache;
  readonly #progress: WriteProgress;
  readonly #below: BlocksBelow | undefined;
  /** The highest page written so far. */
  #reach = 0;

  /** @param memory bytes of pages to gather */
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

  /** Writes what is in memory, but for pages that are left to whoever asks for what is held. */
  async finish(leave: (page: number) => boolean = () => false): Promise<void> {
    await this.#write(leave);
  }

  /** Gives the memory back. Which pages there are stays known. */
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

  /** What was written behind the new end must read as zeros should the database grow again. */
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
