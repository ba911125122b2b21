/** Snapshots of other programs: an LZ4 frame of the database file and nothing else, so they are read from the start. */
import { corrupt, withKey } from './errors.ts';
import { ByteSource } from './format/byte-source.ts';
import { BLOCK_SIZE, lz4DecodeFrame } from './format/lz4.ts';
import type { Store } from './store/store.ts';
import { isPageSize } from './wal/format.ts';

/** The database file in pieces of 1 MiB (the last may be shorter); undefined in place of those not wanted. */
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
    for await (const raw of lz4DecodeFrame(new ByteSource(store.stream(key)))) {
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
    throw corrupt('NOT_A_DATABASE', 'does not begin like an SQLite database');
  }
  const raw = start.readUInt16BE(16);
  const pageSize = raw === 1 ? 65536 : raw;
  if (!isPageSize(pageSize)) throw corrupt('NOT_A_DATABASE', `impossible page size ${pageSize}`);
  return pageSize;
}
