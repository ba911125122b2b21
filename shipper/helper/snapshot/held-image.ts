/**
 * The database as a held snapshot has it. As a rule everything is in the database file, which nobody changes meanwhile.
 * If the app kept frames from being copied there, the newest version of each page is read from the WAL instead. Those
 * frames stay in the WAL, and copying them changes only pages of the file that are not read here.
 *
 * An app can keep an index from ending: a read transaction that never ends, a writer of many minutes, a full disk. A
 * start does not wait for that, nor does continuity that is to be regained: after a second the snapshot begins at the
 * newest frame. The price is that the next index, if the WAL is not restarted before, repeats the WAL from its start;
 * the states inside that run are no restore points. Only `snapshot()`, whose place is the end of an index, waits.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import { SeawallError } from '../../../replica/terms/errors.ts';
import { BLOCK_SIZE } from '../../../replica/format/block-size.ts';
import { FRAME_HEADER_SIZE, offsetAfter, parseFrameHeader } from '../../../replica/wal/format.ts';
import type { Held, LiveDatabase } from '../database/live-database.ts';
import type { LiveFiles } from '../database/live-files.ts';

/** Frame headers read at a time, before other events have their turn. */
const FRAMES_AT_A_TIME = 2000;

export class HeldImage {
  readonly pageSize: number;
  readonly pages: number;
  readonly #live: LiveDatabase;
  readonly #files: LiveFiles;
  /** For pages that are read from the WAL: the offset of their newest version. */
  readonly #inWal: ReadonlyMap<number, number>;

  private constructor(live: LiveDatabase, inWal: ReadonlyMap<number, number>) {
    this.pageSize = live.pageSize;
    this.pages = live.snapshotPages();
    this.#live = live;
    this.#files = live.files;
    this.#inWal = inWal;
  }

  /** `held` is where the present snapshot began. Throws the signal's reason. */
  static async of(live: LiveDatabase, held: Held, signal: AbortSignal): Promise<HeldImage> {
    return new HeldImage(live, held.kind === 'sealed' ? new Map() : await newestVersions(live, held.wal, signal));
  }

  /** Reads `count` pages from `page` on; zeros beyond the end of the file. Throws `local` (WAL_CUT_SHORT). */
  read(page: number, count: number): Buffer {
    const { pageSize } = this;
    const length = count * pageSize;
    const stored = this.#files.read((page - 1) * pageSize, length);
    const bytes = stored.length === length ? stored : Buffer.concat([stored], length);
    if (this.#inWal.size === 0) return bytes;
    for (let i = 0; i < count; i++) {
      const at = this.#inWal.get(page + i);
      if (at !== undefined) readFully(this.#files, at, pageSize).copy(bytes, i * pageSize);
    }
    return bytes;
  }

  /** All of it in blocks of {@link BLOCK_SIZE}, the last one shorter. At the end: {@link assertUntouched}. */
  async *blocks(signal: AbortSignal, onProgress?: (done: number, total: number) => void): AsyncGenerator<Buffer> {
    const { pages, pageSize } = this;
    const perBlock = BLOCK_SIZE / pageSize;
    for (let page = 1; page <= pages; page += perBlock) {
      signal.throwIfAborted();
      const count = Math.min(perBlock, pages - page + 1);
      yield this.read(page, count);
      onProgress?.((page - 1 + count) * pageSize, pages * pageSize);
      await breathe();
    }
    this.assertUntouched();
  }

  /**
   * Throws {@link ContinuityLost} if something other than SQLite wrote to the file since it was looked at last, before
   * this image began or after: then what was read may be a mixture.
   */
  assertUntouched(): void {
    this.#live.checkPlace();
  }
}

async function newestVersions(
  { files, pageSize }: LiveDatabase,
  { frames, backfilled }: Held['wal'],
  signal: AbortSignal,
): Promise<Map<number, number>> {
  const inWal = new Map<number, number>();
  // If everything was copied just as the snapshot began, it may stand on the file alone, and the WAL may restart.
  if (backfilled === frames) return inWal;
  for (let frame = 0; frame < frames; frame++) {
    const at = offsetAfter(frame, pageSize);
    inWal.set(parseFrameHeader(readFully(files, at, FRAME_HEADER_SIZE)).page, at + FRAME_HEADER_SIZE);
    if (frame % FRAMES_AT_A_TIME === 0) {
      await breathe();
      signal.throwIfAborted();
    }
  }
  return inWal;
}

function readFully(files: LiveFiles, offset: number, length: number): Buffer {
  const bytes = files.readWal(offset, length);
  if (bytes.length === length) return bytes;
  throw new SeawallError('local', 'WAL_CUT_SHORT', 'the WAL file ends before its committed frames');
}
