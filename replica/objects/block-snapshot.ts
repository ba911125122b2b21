/** A snapshot that Seawall wrote, read by its trailer: any block, and the hash of any page, by ranged requests. */
import { crc32 } from '../runtime/crc32.ts';
import { corrupt, withKey } from '../terms/errors.ts';
import { codec as codecNamed, type Codec } from '../format/codec.ts';
import { formatChecksum, PageHashes } from '../format/page-hashes.ts';
import {
  PAGE_HASH,
  pagesPerBlock,
  parseSnapshotHeader,
  SNAPSHOT_HEADER_LENGTH,
  type BlockEntry,
  type CoreFacts,
  type SnapshotFooter,
} from '../format/snapshot.ts';
import { parseSkippableHead, SKIPPABLE_OVERHEAD } from '../format/skippable-frame.ts';
import { mapOrdered } from '../runtime/map-ordered.ts';
import { release } from '../runtime/release.ts';
import type { ReadTicket } from '../store/read-ticket.ts';
import type { Store } from '../store/store.ts';

/** Blocks that lie one after the other, `first` to `last`, fetched by one request. */
export interface BlockRun {
  readonly first: number;
  readonly last: number;
}

/** The most stored bytes and blocks of a run. */
export interface RunLimits {
  readonly bytes: number;
  readonly blocks: number;
}

/** Enough to outweigh a request's latency, little enough to hold many. */
const SHORT_RUNS: RunLimits = { bytes: 1 << 20, blocks: 4 };
/** Runs fetched at the same time. */
export const RUNS_AHEAD = 16;

export class BlockSnapshot {
  readonly key: string;
  /** Bytes of the object. */
  readonly size: number;
  readonly etag: string;
  readonly footer: SnapshotFooter;
  readonly table: readonly BlockEntry[];
  /** Offset of each block in the object, and after the last one the end of the blocks. */
  readonly offsets: Float64Array;
  readonly #store: Store;
  readonly #codec: Codec;

  /** See `openSnapshot`; `table` fills the space from the header to the trailer. */
  constructor(
    store: Store,
    object: { readonly key: string; readonly size: number; readonly etag: string },
    footer: SnapshotFooter,
    table: readonly BlockEntry[],
  ) {
    this.#store = store;
    this.key = object.key;
    this.size = object.size;
    this.etag = object.etag;
    this.footer = footer;
    this.table = table;
    this.#codec = codecNamed(footer.codec);
    this.offsets = new Float64Array(table.length + 1);
    this.offsets[0] = firstBlockOf(this.#codec);
    table.forEach((entry, i) => (this.offsets[i + 1] = this.offsets[i]! + entry.length));
  }

  get facts(): CoreFacts {
    return this.footer.facts;
  }

  /** Bytes that a block decodes to. */
  rawLength(block: number): number {
    const { facts, blockPages } = this.footer;
    return Math.min(blockPages, facts.pages - block * blockPages) * facts.pageSize;
  }

  /** The wanted blocks in order, in runs that are worth a request each. */
  *runs(want: (block: number) => boolean = () => true, most = SHORT_RUNS): Generator<BlockRun> {
    let first: number | undefined;
    for (let block = 0; block <= this.table.length; block++) {
      const wanted = block < this.table.length && want(block);
      if (first !== undefined) {
        const full = this.offsets[block + 1]! - this.offsets[first]! > most.bytes || block - first === most.blocks;
        if (wanted && !full) continue;
        yield { first, last: block - 1 };
      }
      first = wanted ? block : undefined;
    }
  }

  /** Where a run is in the object. */
  rangeOf({ first, last }: BlockRun): { readonly offset: number; readonly length: number } {
    const offset = this.offsets[first]!;
    return { offset, length: this.offsets[last + 1]! - offset };
  }

  /** The stored bytes of a run, not yet checked. One request. */
  async fetch(run: BlockRun): Promise<Buffer> {
    return (await this.#store.get(this.key, this.rangeOf(run))).body;
  }

  /** What another thread needs to read a run, if the store can provide it. */
  async ticket(run: BlockRun): Promise<ReadTicket | undefined> {
    return this.#store.ticket?.(this.key, this.rangeOf(run));
  }

  /** Blocks `first` to `last` as stored, each checked against its CRC. One request. */
  async stored(first: number, last: number): Promise<Buffer[]> {
    const run = { first, last };
    return this.cut(run, await this.fetch(run));
  }

  /** The blocks of a run that was fetched, as parts of it, each checked against its CRC. */
  cut({ first, last }: BlockRun, body: Buffer): Buffer[] {
    const offset = this.offsets[first]!;
    const blocks: Buffer[] = [];
    for (let block = first; block <= last; block++) {
      blocks.push(body.subarray(this.offsets[block]! - offset, this.offsets[block + 1]! - offset));
    }
    for (const [i, stored] of blocks.entries()) {
      if (crc32(stored) === this.table[first + i]!.crc) continue;
      throw corrupt('SNAPSHOT_BLOCK_CRC', `block ${first + i} does not match its CRC`, { key: this.key });
    }
    return blocks;
  }

  /** The pages of a block, decoded from its stored bytes; at the start of `into`, if given. Throws `corrupt`. */
  decode(block: number, stored: Buffer, into?: Buffer): Buffer {
    try {
      return this.#codec.decodeBlock(stored, this.rawLength(block), into);
    } catch (error) {
      throw withKey(error, this.key);
    }
  }

  /** One block, decoded. One request. */
  async block(index: number): Promise<Buffer> {
    const [stored] = await this.stored(index, index);
    return this.decode(index, stored!);
  }

  /**
   * The database file from its start, in pieces of 1 MiB (the last may be shorter), whatever the snapshot's own block
   * size. Pieces for which `want` returns false come as undefined and are not fetched.
   */
  async *blocks(want: (piece: number) => boolean = () => true): AsyncGenerator<Buffer | undefined> {
    const inPiece = pagesPerBlock(this.facts.pageSize) / this.footer.blockPages;
    const pieces = Math.ceil(this.table.length / inPiece);
    const runs = this.runs((block) => want(Math.floor(block / inPiece)));
    const fetched = mapOrdered(runs, RUNS_AHEAD, async (run) => ({
      run,
      stored: await this.stored(run.first, run.last),
    }));
    let piece = 0;
    let held: Buffer[] = [];
    for await (const { run, stored } of fetched) {
      for (; piece < Math.floor(run.first / inPiece); piece++) yield undefined;
      for (const [i, bytes] of stored.entries()) {
        const block = run.first + i;
        held.push(this.decode(block, bytes));
        if ((block + 1) % inPiece !== 0 && block + 1 < this.table.length) continue;
        yield held.length === 1 ? held[0]! : Buffer.concat(held);
        held = [];
        piece++;
      }
    }
    for (; piece < pieces; piece++) yield undefined;
  }

  /** The hash of every page, checked against the trailer's CRC and the database checksum. */
  async hashes(): Promise<PageHashes> {
    const { footer, key } = this;
    const { pages, pageSize, checksum } = footer.facts;
    const range = { offset: this.#hashesStart, length: pages * PAGE_HASH };
    const hashes = await PageHashes.read(pageSize, pages, async (into) => {
      let at = 0;
      for await (const chunk of this.#store.stream(key, range)) {
        at += chunk.copy(into, at);
        release(chunk);
      }
      if (crc32(into) === footer.hashesCrc) return;
      throw corrupt('SNAPSHOT_HASHES_CRC', 'the page hashes do not match their CRC', { key });
    });
    if (hashes.checksum !== checksum) {
      throw corrupt('SNAPSHOT_CHECKSUM', 'the page hashes do not add up to the recorded checksum', {
        key,
        expected: formatChecksum(checksum),
        actual: formatChecksum(hashes.checksum),
      });
    }
    return hashes;
  }

  /** The hashes of one block's pages, 8 bytes each as stored. Their CRC is of all hashes, so these are not checked. */
  async hashesOf(block: number): Promise<Buffer> {
    const offset = this.#hashesStart + block * this.footer.blockPages * PAGE_HASH;
    const length = (this.rawLength(block) / this.facts.pageSize) * PAGE_HASH;
    return (await this.#store.get(this.key, { offset, length })).body;
  }

  /**
   * Checks the bytes around the blocks and hashes, on which no page depends: Seawall's header, and the frame that stock
   * tools read. Throws `corrupt`.
   */
  async checkFrame(): Promise<void> {
    const { footer, key, size } = this;
    const prologue = this.#codec.prologue(false);
    const epilogue = this.#codec.epilogue();
    const opening = (await this.#store.get(key, { offset: 0, length: firstBlockOf(this.#codec) })).body;
    const seam = await this.#store.get(key, {
      offset: footer.trailerStart - epilogue.length,
      length: epilogue.length + SKIPPABLE_OVERHEAD,
    });
    try {
      const header = parseSnapshotHeader(opening);
      for (const name of ['pageSize', 'generation', 'index', 'pages', 'time', 'checksum'] as const) {
        if (header[name] === footer.facts[name]) continue;
        throw corrupt('SNAPSHOT_IDENTITY', `header and footer disagree on ${name}`);
      }
      const trailerLength = size - footer.trailerStart - SKIPPABLE_OVERHEAD;
      if (
        !opening.subarray(SNAPSHOT_HEADER_LENGTH).equals(prologue) ||
        !seam.body.subarray(0, epilogue.length).equals(epilogue) ||
        parseSkippableHead(seam.body.subarray(epilogue.length), trailerLength) !== trailerLength
      ) {
        throw corrupt('SNAPSHOT_FRAME', 'unexpected bytes around the blocks');
      }
    } catch (error) {
      throw withKey(error, key);
    }
  }

  get #hashesStart(): number {
    return this.footer.trailerStart + SKIPPABLE_OVERHEAD;
  }
}

/** Offset of the first block: after Seawall's header and the codec's prologue. */
export function firstBlockOf(codec: Codec): number {
  return SNAPSHOT_HEADER_LENGTH + codec.prologue(false).length;
}
