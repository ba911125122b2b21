/** Writes a snapshot that can only be read from its start into a file that already has the WAL's pages. */
import type { PageHashes } from '../../format/page-hashes.ts';
import { hashPage } from '../../format/xxhash.ts';
import type { OpenSnapshot } from '../../objects/snapshot-reader.ts';
import type { WalWalk } from '../wal-scan.ts';
import type { WalWriter } from './wal-writer.ts';
import type { WriteProgress } from './write-progress.ts';
import type { PageFile } from './target-file.ts';

export class StreamedBase {
  readonly #file: PageFile;
  readonly #hashes: PageHashes;
  readonly #wal: WalWriter | undefined;
  readonly #progress: WriteProgress;
  /** Pages after this one are not the snapshot's. */
  readonly #last: number;

  constructor(
    file: PageFile,
    hashes: PageHashes,
    { fewest }: Pick<WalWalk, 'fewest'>,
    wal: WalWriter | undefined,
    progress: WriteProgress,
  ) {
    this.#file = file;
    this.#hashes = hashes;
    this.#last = fewest;
    this.#wal = wal;
    this.#progress = progress;
  }

  /** Writes the pages that are still the snapshot's. Returns how many it has read: all, if there is no WAL. */
  async write(snapshot: OpenSnapshot): Promise<number> {
    const { pageSize } = this.#hashes;
    let seen = 0;
    for await (const raw of snapshot.blocks()) {
      if (raw === undefined) continue;
      await this.#write(seen + 1, raw);
      seen += raw.length / pageSize;
      if (seen >= this.#last) break;
    }
    return seen;
  }

  async #write(first: number, raw: Buffer): Promise<void> {
    const { pageSize } = this.#hashes;
    const count = raw.length / pageSize;
    for (let from = 0; from < count;) {
      let to = from;
      for (; to < count && this.#isOwn(first + to); to++) {
        this.#hashes.setHash(first + to, hashPage(first + to, raw.subarray(to * pageSize, (to + 1) * pageSize)));
      }
      if (to > from) {
        await this.#file.write(raw.subarray(from * pageSize, to * pageSize), (first + from - 1) * pageSize);
      }
      from = to + 1;
    }
    this.#progress.add(raw.length);
  }

  #isOwn(page: number): boolean {
    return page <= this.#last && this.#wal?.has(page) !== true;
  }
}
