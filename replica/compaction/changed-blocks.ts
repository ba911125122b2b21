/** Which blocks of a newer snapshot are in an older one as they are, and what is left of the others. */
import { blockCount, pagesPerBlock } from '../format/snapshot.ts';
import type { BlockSnapshot } from '../objects/block-snapshot.ts';
import type { WalScan } from '../image/wal-scan.ts';

export class ChangedBlocks {
  readonly count: number;
  readonly #old: BlockSnapshot;
  readonly #pages: number;
  readonly #pageSize: number;
  readonly #perBlock: number;
  readonly #scan: WalScan;
  /** Pages of the old snapshot that no shrink on the way has taken. */
  readonly #kept: number;
  readonly #unchanged: Uint8Array;

  constructor(
    old: BlockSnapshot,
    { pages, pageSize }: { readonly pages: number; readonly pageSize: number },
    scan: WalScan,
  ) {
    this.#old = old;
    this.#pages = pages;
    this.#pageSize = pageSize;
    this.#perBlock = pagesPerBlock(pageSize);
    this.#scan = scan;
    this.#kept = Math.min(old.facts.pages, scan.fewest);
    this.count = blockCount(pages, pageSize);
    this.#unchanged = Uint8Array.from({ length: this.count }, (_, block) => {
      const [first, last] = [this.firstPage(block), this.lastPage(block)];
      const whole = last <= this.#kept && old.rawLength(block) === this.rawLength(block);
      return whole && scan.overlay?.hasAnyOf(first, last) !== true ? 1 : 0;
    });
  }

  unchanged(block: number): boolean {
    return this.#unchanged[block] === 1;
  }

  firstPage(block: number): number {
    return block * this.#perBlock + 1;
  }

  lastPage(block: number): number {
    return Math.min((block + 1) * this.#perBlock, this.#pages);
  }

  rawLength(block: number): number {
    return (this.lastPage(block) - this.firstPage(block) + 1) * this.#pageSize;
  }

  /** Raw bytes of the old block that still count. */
  keptOf(block: number): number {
    return Math.max(0, Math.min(this.lastPage(block), this.#kept) - this.firstPage(block) + 1) * this.#pageSize;
  }

  /** Whether anything of the old block is in the new one. */
  needsOld(block: number): boolean {
    const kept = this.keptOf(block) / this.#pageSize;
    const first = this.firstPage(block);
    return kept > 0 && this.#scan.overlay?.hasAllOf(first, first + kept - 1) !== true;
  }

  /** Bytes stored: exact for unchanged blocks, for others as many as before. */
  storedLength(block: number): number {
    const { table, offsets } = this.#old;
    return table[block]?.length ?? (offsets[table.length]! - offsets[0]!) / table.length;
  }

  /** Raw bytes before a block. */
  bytesBefore(block: number): number {
    return Math.min(block * this.#perBlock, this.#pages) * this.#pageSize;
  }
}
