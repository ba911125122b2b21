/** A past state from LTX files, open for reading single pages: each comes from the newest file that holds it. */
import { withKey } from '../../terms/errors.ts';
import { mapOrdered } from '../../runtime/map-ordered.ts';
import { assertPages, type PastState } from './past-state.ts';
import type { Store } from '../../store/store.ts';
import { lockPage } from '../../wal/format.ts';
import type { LtxChain } from '../ltx-image.ts';
import { LtxPageIndex, unpackLtxPage } from '../../ltx/page-index.ts';

/** Requests at a time. */
const AHEAD = 8;

/**
 * Opens a chain by the page indexes of its files. LTX has no checksums of single pages, so a page is proven only by its
 * compression. A restore reads whole files and checks their checksums.
 */
export async function openLtxState(store: Store, chain: LtxChain, position: string, time: number): Promise<PastState> {
  const indexes: LtxPageIndex[] = [];
  const files = chain.files.map((file, at) => ({ file, header: chain.headers[at]! }));
  for await (const index of mapOrdered(files, AHEAD, ({ file, header }) => LtxPageIndex.read(store, file, header))) {
    indexes.push(index);
  }
  return new LtxState(store, chain, indexes, position, time);
}

class LtxState implements PastState {
  readonly position: string;
  readonly time: number;
  readonly pageSize: number;
  readonly pages: number;
  readonly #store: Store;
  readonly #chain: LtxChain;
  readonly #indexes: readonly LtxPageIndex[];
  #closed = false;

  constructor(store: Store, chain: LtxChain, indexes: readonly LtxPageIndex[], position: string, time: number) {
    this.#store = store;
    this.#chain = chain;
    this.#indexes = indexes;
    this.position = position;
    this.time = time;
    this.pageSize = chain.headers.at(-1)!.pageSize;
    this.pages = chain.headers.at(-1)!.pages;
  }

  async readPage(page: number): Promise<Buffer> {
    return this.readPages(page, 1);
  }

  async readPages(first: number, count: number): Promise<Buffer> {
    if (this.#closed) throw new TypeError(`the state at ${this.position} was closed`);
    assertPages(this, first, count);
    const pages = Array.from({ length: count }, (_, i) => first + i);
    const parts: Buffer[] = [];
    for await (const content of mapOrdered(pages, AHEAD, (page) => this.#page(page))) parts.push(content);
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  async #page(page: number): Promise<Buffer> {
    const { files, headers } = this.#chain;
    for (let at = files.length - 1; at >= 0; at--) {
      // The database was once shorter and grew again: pages that nobody wrote since are zeros.
      if (page > headers[at]!.pages || page === lockPage(this.pageSize)) break;
      const place = this.#indexes[at]!.find(page);
      if (place === undefined) continue;
      const { key } = files[at]!;
      const { body } = await this.#store.get(key, place);
      try {
        return await unpackLtxPage(body, page, this.pageSize);
      } catch (error) {
        throw withKey(error, key);
      }
    }
    return Buffer.alloc(this.pageSize);
  }
}
