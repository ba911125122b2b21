/** Snapshots of other programs: one LZ4 frame of the database file and nothing else, so they are read from the start. */
import { corrupt, withKey } from '../terms/errors.ts';
import { BLOCK_SIZE } from '../format/block-size.ts';
import { lz4DecodeStream } from '../format/lz4/frame.ts';
import type { Store } from '../store/store.ts';
import { isPageSize } from '../wal/format.ts';

/** The database file in pieces of 1 MiB (the last may be shorter); undefined for pieces that are not wanted. Throws `corrupt`. */
export async function* foreignBlocks(
  store: Store,
  key: string,
  want: (block: number) => boolean = () => true,
): AsyncGenerator<Buffer | undefined> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let block = 0;
  let pageSize = 0;
  try {
    for await (const raw of lz4DecodeStream(store.stream(key))) {
      held.push(raw);
      heldBytes += raw.length;
      if (heldBytes < BLOCK_SIZE) continue;
      const all = Buffer.concat(held);
      if (pageSize === 0) pageSize = databasePageSize(all);
      let at = 0;
      for (; at + BLOCK_SIZE <= all.length; at += BLOCK_SIZE) {
        yield want(block++) ? Buffer.from(all.subarray(at, at + BLOCK_SIZE)) : undefined;
      }
      held = at < all.length ? [all.subarray(at)] : [];
      heldBytes = all.length - at;
    }
    if (heldBytes === 0) return;
    const last = Buffer.concat(held);
    if (pageSize === 0) pageSize = databasePageSize(last);
    if (last.length % pageSize !== 0) throw corrupt('SNAPSHOT_LENGTH', 'the snapshot does not end on a page boundary');
    yield want(block) ? last : undefined;
  } catch (error) {
    throw withKey(error, key);
  }
}

/** The page size in a database file's header (https://www.sqlite.org/fileformat2.html#page_size), bytes. */
export function databasePageSize(start: Buffer): number {
  if (start.length < 100 || start.toString('latin1', 0, 16) !== 'SQLite format 3\0') {
    throw corrupt('NOT_A_DATABASE', 'the object does not begin like an SQLite database');
  }
  const raw = start.readUInt16BE(16);
  const pageSize = raw === 1 ? 65536 : raw;
  if (!isPageSize(pageSize)) throw corrupt('NOT_A_DATABASE', `impossible page size ${pageSize}`);
  return pageSize;
}

/** The page size of a snapshot that does not record it, read from its first page. */
export async function firstPageSize(snapshot: {
  readonly key: string;
  blocks(): AsyncGenerator<Buffer | undefined>;
}): Promise<number> {
  for await (const first of snapshot.blocks()) if (first !== undefined) return databasePageSize(first);
  throw corrupt('NOT_A_DATABASE', 'the snapshot is empty', { key: snapshot.key });
}

/** Blocks of another program's snapshot in any order. Ascending order is cheap; going back starts again from the first. */
export class ForeignBlocks {
  readonly #open: (want: (block: number) => boolean) => AsyncGenerator<Buffer | undefined>;
  #stream: AsyncGenerator<Buffer | undefined> | undefined;
  #next = 0;
  #wanted = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(snapshot: { blocks(want: (block: number) => boolean): AsyncGenerator<Buffer | undefined> }) {
    this.#open = (want) => snapshot.blocks(want);
  }

  /** 1 MiB of the database file; the last block is shorter. */
  block(index: number): Promise<Buffer> {
    const mine = this.#turn.then(() => this.#read(index));
    this.#turn = mine.catch(() => undefined); // told to whoever asked for it
    return mine;
  }

  async close(): Promise<void> {
    await this.#turn;
    await this.#stream?.return(undefined);
    this.#stream = undefined;
  }

  async #read(index: number): Promise<Buffer> {
    if (index < this.#next) await this.#stream?.return(undefined);
    if (index < this.#next || this.#stream === undefined) {
      this.#stream = this.#open((block) => block === this.#wanted);
      this.#next = 0;
    }
    this.#wanted = index;
    try {
      for (;;) {
        const next = await this.#stream.next();
        if (next.done === true) throw corrupt('SNAPSHOT_LENGTH', `the snapshot has no block ${index}`);
        if (this.#next++ === index) return next.value!;
      }
    } catch (error) {
      this.#stream = undefined;
      throw error;
    }
  }
}
