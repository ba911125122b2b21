/**
 * Pages that a snapshot of Litestream's holds early. It is a copy of the database file while WAL index N goes on, so it
 * may contain what frames of that index brought. That is sound as long as those frames are in the replica and are all
 * replayed over it; here each such page is looked for among them.
 */
import type { PageHashes } from '../format/page-hashes.ts';

export class EarlyPages {
  readonly key: string;
  /** Hashes of the pages that differ from the state at the end of the index before. */
  readonly #wanted = new Map<number, bigint>();
  #pages: number;

  /** @param before the state at the end of the index before */
  constructor(key: string, snapshot: PageHashes, before: PageHashes) {
    this.key = key;
    this.#pages = snapshot.pages === before.pages ? 0 : snapshot.pages;
    for (let page = 1; page <= snapshot.pages; page++) {
      if (snapshot.get(page) !== before.get(page)) this.#wanted.set(page, snapshot.get(page));
    }
  }

  /** A frame that is replayed over the snapshot. */
  frame(page: number, hash: bigint, commitPages: number): void {
    if (this.#wanted.get(page) === hash) this.#wanted.delete(page);
    if (commitPages === this.#pages) this.#pages = 0;
  }

  /** How many pages no frame explains; a number of pages that none explains counts as one. */
  get unexplained(): number {
    return this.#wanted.size + (this.#pages === 0 ? 0 : 1);
  }
}
