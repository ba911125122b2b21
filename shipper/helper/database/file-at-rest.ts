/**
 * Whether a file that was put in place of a database, or copied over it, is there as a whole: nothing writes to it any
 * more, and it is as long as its header says.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import type { Clock } from '../../clock.ts';
import { beingWritten, emptyFile } from './sqlite-refusals.ts';

/** Milliseconds for which a file has stood still that nothing writes to. */
const STILL = 1000;
/** Milliseconds after which it is said that a file does not come to rest. */
const PATIENCE = 5000;
const HEADER = 100;

export class FileAtRest {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #from: number;
  #last: { readonly stamp: string; readonly at: number } | undefined;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
    this.#from = clock.steady();
  }

  /**
   * False while it is not, or not known yet. Throws DATABASE_EMPTY for an empty file, and DATABASE_CHANGING for one that
   * does not come to rest. A missing file is at rest.
   */
  isAtRest(): boolean {
    const found = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    if (found === undefined) return true;
    const stamp = [found.dev, found.ino, found.size, found.mtimeNs].join();
    const now = this.#clock.steady();
    if (this.#last?.stamp !== stamp) this.#last = { stamp, at: now };
    if (found.size === 0n) throw emptyFile(this.#path);
    if (now - this.#last.at >= STILL && isWhole(this.#path)) return true;
    if (now - this.#from < PATIENCE) return false;
    // Checkpoints of a process that has it open and commits all the time write to it, too.
    if (hasWal(this.#path)) return true;
    throw beingWritten(this.#path);
  }
}

/**
 * Not where the header knows how many pages there are, and the file has fewer: SQLite calls such a file malformed. With
 * a WAL beside it, pages may be there alone.
 */
function isWhole(path: string): boolean {
  if (hasWal(path)) return true;
  const header = Buffer.alloc(HEADER);
  const fd = openSync(path, 'r');
  try {
    if (readSync(fd, header, 0, HEADER, 0) < HEADER) return true; // opening it says what it is
    // https://www.sqlite.org/fileformat2.html#in_header_database_size
    if (header.readUInt32BE(24) !== header.readUInt32BE(92)) return true;
    const stored = header.readUInt16BE(16);
    const pageSize = stored === 1 ? 65_536 : stored;
    return fstatSync(fd).size >= header.readUInt32BE(28) * pageSize;
  } finally {
    closeSync(fd);
  }
}

function hasWal(path: string): boolean {
  return (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
}
