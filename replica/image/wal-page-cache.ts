/** The newest version of each page that a stretch of WAL holds, within a memory budget. */
import { release } from '../runtime/release.ts';

const SLAB = 1 << 20;

export class WalPageCache {
  readonly pageSize: number;
  /** The range of pages whose content is kept. */
  #first = 1;
  #last = Number.MAX_SAFE_INTEGER;
  readonly #most: number;
  readonly #slots = new Map<number, number>();
  readonly #free: number[] = [];
  #slabs: Buffer[] = [];
  #used = 0;
  #dirty = new Uint8Array(1024);
  #highest = 0;
  #pages = 0;
  #complete = true;

  constructor(pageSize: number, memory: number) {
    this.pageSize = pageSize;
    this.#most = Math.max(Math.floor(memory / pageSize), 1);
  }

  /** Forgets everything but keeps the memory. From now on only pages of this range are taken. */
  restrict(first: number, last: number): void {
    this.#first = first;
    this.#last = last;
    this.#slots.clear();
    this.#free.length = 0;
    this.#used = 0;
    this.#dirty.fill(0);
    this.#highest = 0;
    this.#pages = 0;
    this.#complete = true;
  }

  /** The last page whose content is kept. */
  get last(): number {
    return this.#last;
  }

  /** False if the budget did not hold all content. It is then only known which pages there are. */
  get complete(): boolean {
    return this.#complete;
  }

  /** How many different pages the WAL holds. */
  get pages(): number {
    return this.#pages;
  }

  /** Whether the content of one more page would not fit. */
  get full(): boolean {
    return this.#free.length === 0 && this.#used >= this.#most;
  }

  /** Whether the content of a page is held; see `has` for whether the WAL has the page at all. */
  holds(page: number): boolean {
    return this.#slots.has(page);
  }

  /** The pages whose content is held, ascending. The content is valid until something is put or released. */
  *held(): Generator<{ readonly page: number; readonly content: Buffer }> {
    for (const page of [...this.#slots.keys()].sort((a, b) => a - b)) {
      const slot = this.#slots.get(page)!;
      const at = this.#at(slot);
      yield { page, content: this.#slab(slot).subarray(at, at + this.pageSize) };
    }
  }

  /** The content of a page that is held; valid until something is put or released. */
  content(page: number): Buffer | undefined {
    const slot = this.#slots.get(page);
    if (slot === undefined) return undefined;
    const at = this.#at(slot);
    return this.#slab(slot).subarray(at, at + this.pageSize);
  }

  /** Forgets all content, but not which pages the WAL has. */
  release(): void {
    this.#slots.clear();
    this.#free.length = 0;
    this.#used = 0;
  }

  /** Does the same and gives the memory back. */
  close(): void {
    this.release();
    this.#slabs = [];
  }

  /** Keeps a copy of the newest version of a page. */
  put(page: number, content: Buffer): void {
    if (page < this.#first || page > this.#last) return;
    this.#mark(page, true);
    if (!this.#complete) return;
    let slot = this.#slots.get(page);
    if (slot === undefined) {
      slot = this.#free.pop() ?? this.#used++;
      if (slot >= this.#most) {
        this.#complete = false;
        this.#slots.clear();
        for (const slab of this.#slabs.splice(0)) release(slab);
        return;
      }
      this.#slots.set(page, slot);
    }
    content.copy(this.#slab(slot), this.#at(slot));
  }

  /** Drops pages past the end of a database of `pages` pages. */
  truncate(pages: number): void {
    if (pages >= this.#highest) return;
    this.#highest = pages;
    for (let byte = pages >> 3; byte < this.#dirty.length; byte++) {
      if (this.#dirty[byte] === 0) continue;
      for (let page = Math.max(byte * 8, pages + 1); page < byte * 8 + 8; page++) {
        if (!this.has(page)) continue;
        this.#mark(page, false);
        const slot = this.#slots.get(page);
        if (slot === undefined) continue;
        this.#slots.delete(page);
        this.#free.push(slot);
      }
    }
  }

  /** Whether the WAL has the page, whether or not its content is held. */
  has(page: number): boolean {
    return (this.#dirty[page >> 3]! & (1 << (page & 7))) !== 0;
  }

  /** Lays the pages over `raw`, which begins with page `first`. */
  applyTo(raw: Buffer, first: number): void {
    const count = raw.length / this.pageSize;
    for (let i = 0; i < count; i++) {
      const slot = this.#slots.get(first + i);
      if (slot !== undefined)
        this.#slab(slot).copy(raw, i * this.pageSize, this.#at(slot), this.#at(slot) + this.pageSize);
    }
  }

  /** Whether the WAL has any of these pages. */
  hasAnyOf(first: number, last: number): boolean {
    for (let page = first; page <= last; page++) if (this.has(page)) return true;
    return false;
  }

  /** Whether the WAL has all of these pages. */
  hasAllOf(first: number, last: number): boolean {
    for (let page = first; page <= last; page++) if (!this.has(page)) return false;
    return true;
  }

  /** The last page of the longest run of whole blocks from `first` on that holds at most `most` pages. */
  rangeWithin(first: number, perBlock: number, most: number): number {
    let held = 0;
    let last = first - 1;
    for (;;) {
      let inBlock = 0;
      for (let page = last + 1; page <= last + perBlock; page++)
        if (page >> 3 < this.#dirty.length && this.has(page)) inBlock++;
      if (last >= first && held + inBlock > most) return last;
      held += inBlock;
      last += perBlock;
      if (last >> 3 >= this.#dirty.length) return Number.MAX_SAFE_INTEGER;
    }
  }

  #mark(page: number, on: boolean): void {
    const byte = page >> 3;
    const bit = 1 << (page & 7);
    if (byte >= this.#dirty.length) {
      if (!on) return;
      const grown = new Uint8Array(Math.max(byte + 1, this.#dirty.length * 2));
      grown.set(this.#dirty);
      this.#dirty = grown;
    }
    const was = (this.#dirty[byte]! & bit) !== 0;
    if (was === on) return;
    if (page > this.#highest && on) this.#highest = page;
    this.#dirty[byte]! ^= bit;
    this.#pages += on ? 1 : -1;
  }

  #slab(slot: number): Buffer {
    const index = Math.floor((slot * this.pageSize) / SLAB);
    return (this.#slabs[index] ??= Buffer.allocUnsafe(SLAB));
  }

  #at(slot: number): number {
    return (slot * this.pageSize) % SLAB;
  }
}
