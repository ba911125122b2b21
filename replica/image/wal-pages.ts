/** The pages that a scanned WAL lays over a snapshot, in ascending order, within a budget of memory. */
import { BLOCK_SIZE } from '../format/block-size.ts';
import { WalPageCache } from './wal-page-cache.ts';
import type { RestorePlan } from '../plan/plan.ts';
import type { Store } from '../store/store.ts';
import { planFrames, type WalScan } from './wal-scan.ts';

export class WalPages {
  readonly #store: Store;
  readonly #plan: RestorePlan;
  readonly #scan: WalScan;
  readonly #memory: number;
  /** The part that is held now, if the scan could not keep everything. */
  #part: WalPageCache | undefined;

  /** @param memory bytes of pages held at a time */
  constructor(store: Store, plan: RestorePlan, scan: WalScan, memory: number) {
    this.#store = store;
    this.#plan = plan;
    this.#scan = scan;
    this.#memory = memory;
  }

  /**
   * The pages of the block that begins with page `first`, and of some blocks after it; undefined if there is no WAL. Ask
   * in ascending order: pages held before are gone. If the budget is exceeded, the WAL is read again.
   */
  async covering(first: number): Promise<WalPageCache | undefined> {
    const { overlay } = this.#scan;
    if (overlay?.complete !== false) return overlay;
    if (this.#part === undefined || first > this.#part.last) {
      this.#part ??= new WalPageCache(overlay.pageSize, this.#memory);
      await this.#readInto(this.#part, overlay, first);
    }
    return this.#part;
  }

  /** Reads the WAL again for as many pages from `first` on as fit the budget, in whole blocks. */
  async #readInto(part: WalPageCache, scanned: WalPageCache, first: number): Promise<void> {
    const { until } = this.#plan;
    const most = Math.floor(this.#memory / scanned.pageSize);
    part.restrict(first, scanned.rangeWithin(first, BLOCK_SIZE / scanned.pageSize, most));
    for await (const { index, frames } of planFrames(this.#store, this.#plan)) {
      for (const { page, content, commitPages, end } of frames) {
        if (index === until.index && end > until.offset) return;
        // Pages that a later shrink cuts off are not in the scanned set, and need no memory here.
        if (scanned.has(page)) part.put(page, content);
        if (commitPages !== 0) part.truncate(commitPages);
      }
    }
  }
}
