/**
 * Notices that something other than SQLite wrote to the database file. In WAL mode only checkpoints write there, and
 * each of them is seen in the WAL index: it notes how far it means to come before it writes, and how far it came after.
 */
import type { LiveFiles, Stamp } from './live-files.ts';

interface Sample {
  readonly stamp: Stamp;
  readonly checkpoints: Checkpoints;
}

/** Where checkpoints stood. */
interface Checkpoints {
  readonly salt1: number;
  readonly salt2: number;
  readonly frames: number;
  readonly backfilled: number;
}

export class FileStamp {
  readonly #files: LiveFiles;
  #last: Sample | undefined;

  constructor(files: LiveFiles) {
    this.#files = files;
  }

  /**
   * True if the file changed since the last call although no checkpoint wrote to it. A write within a checkpoint of the
   * app is not told apart from it. An empty file is always a change: a database in WAL mode has a page.
   */
  changed(): boolean {
    const before = this.#checkpoints();
    const stamp = this.#files.stamp();
    if (stamp.size === 0n || this.#isCutShort(stamp)) return true;
    const after = this.#checkpoints();
    if (before === undefined || after === undefined || !isSame(before, after)) {
      this.#last = undefined;
      return false;
    }
    const last = this.#last;
    this.#last = { stamp, checkpoints: before };
    return last !== undefined && wroteNothing(last.checkpoints, before) && !isExplained(last.stamp, stamp);
  }

  /** A checkpoint of our own has just ended: the file is as it left it. */
  renew(): void {
    this.#last = undefined;
    this.changed();
  }

  /** The WAL was restarted or emptied by us, which writes nothing into the file: it must still be as it was. */
  carryOver(): void {
    const checkpoints = this.#checkpoints();
    this.#last = this.#last && checkpoints !== undefined ? { ...this.#last, checkpoints } : undefined;
  }

  /** Once everything is in the file, it has all pages. */
  #isCutShort({ size }: Stamp): boolean {
    const wal = this.#files.shmHeader();
    if (wal === undefined || wal.frames > wal.backfilled) return false;
    return size < BigInt(wal.pages) * BigInt(wal.pageSize);
  }

  /** Undefined while a checkpoint writes, or was killed while it wrote. */
  #checkpoints(): Checkpoints | undefined {
    const wal = this.#files.shmHeader();
    if (wal === undefined || wal.attempted > wal.backfilled) return undefined;
    const { salt1, salt2, frames, backfilled } = wal;
    return { salt1, salt2, frames, backfilled };
  }
}

function isSame(a: Checkpoints, b: Checkpoints): boolean {
  return a.salt1 === b.salt1 && a.salt2 === b.salt2 && a.backfilled === b.backfilled;
}

/**
 * No checkpoint wrote into the file between the two. A WAL that was in the file as a whole is restarted by the next
 * commit, which counts up the first salt and writes nothing there.
 */
function wroteNothing(from: Checkpoints, to: Checkpoints): boolean {
  if (isSame(from, to)) return true;
  return from.frames === from.backfilled && to.salt1 === (from.salt1 + 1) >>> 0 && to.backfilled === 0;
}

/** Only the time of the last change differs, and so do permissions, owner or the number of links: no byte was written. */
function isExplained(before: Stamp, after: Stamp): boolean {
  if (before.size !== after.size || before.written !== after.written) return false;
  return before.changed === after.changed || before.access !== after.access;
}
