/** Where a WAL holds the newest version of each page, and its hash, so that a page can be read and proven later. */
import { hashPage } from '../../format/xxhash.ts';
import type { SegmentRef } from '../../objects/segment-reader.ts';
import type { Frame } from '../../wal/cursor.ts';

/** Some 50 bytes for each page that the WAL holds. */
export class WalPlaces {
  readonly #segments: SegmentRef[] = [];
  /** Page → slot in the three arrays. */
  readonly #slots = new Map<number, number>();
  #segment = new Uint32Array(64);
  #at = new Float64Array(64);
  #hash = new BigUint64Array(64);
  #used = 0;
  #highest = 0;

  put({ page, content, end }: Frame, segment: SegmentRef): void {
    if (this.#segments.at(-1) !== segment) this.#segments.push(segment);
    let slot = this.#slots.get(page);
    if (slot === undefined) {
      slot = this.#used++;
      if (slot === this.#at.length) this.#grow();
      this.#slots.set(page, slot);
    }
    this.#segment[slot] = this.#segments.length - 1;
    this.#at[slot] = end - content.length - segment.offset;
    this.#hash[slot] = hashPage(page, content);
    this.#highest = Math.max(this.#highest, page);
  }

  /** Forgets pages past the end of a database of `pages` pages. */
  truncate(pages: number): void {
    if (pages >= this.#highest) return;
    this.#highest = pages;
    for (const page of this.#slots.keys()) if (page > pages) this.#slots.delete(page);
  }

  /** The segment that holds the newest version of a page; undefined for a page that the WAL does not have. */
  segmentOf(page: number): SegmentRef | undefined {
    const slot = this.#slots.get(page);
    return slot === undefined ? undefined : this.#segments[this.#segment[slot]!];
  }

  /** The pages whose newest version a segment holds; `at` is the page's offset in the segment's raw bytes. */
  in(segment: SegmentRef): { readonly page: number; readonly at: number; readonly hash: bigint }[] {
    const wanted = this.#segments.indexOf(segment);
    const found: { page: number; at: number; hash: bigint }[] = [];
    for (const [page, slot] of this.#slots) {
      if (this.#segment[slot] === wanted) found.push({ page, at: this.#at[slot]!, hash: this.#hash[slot]! });
    }
    return found;
  }

  #grow(): void {
    const length = this.#at.length * 2;
    const segment = new Uint32Array(length);
    const at = new Float64Array(length);
    const hash = new BigUint64Array(length);
    segment.set(this.#segment);
    at.set(this.#at);
    hash.set(this.#hash);
    this.#segment = segment;
    this.#at = at;
    this.#hash = hash;
  }
}
