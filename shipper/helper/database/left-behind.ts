/**
 * What is known of a database that was let go because its files are no longer as they were: which files those were, and
 * whether one may be opened under its path by now.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import type { SeawallError } from '../../../replica/terms/errors.ts';
import type { Clock } from '../../clock.ts';
import { identitiesUnder, type Identities } from './file-identity.ts';
import { otherHolders } from './other-holders.ts';
import { readShmHeader } from './shm-header.ts';
import { missingBesideWal, overwrittenBesideWal, partedFiles, staleWal } from './sqlite-refusals.ts';

/** Why it was let go. */
export type Change =
  /** Another file lies under its path, or none. */
  | 'replaced'
  /** Its WAL or its WAL index was removed or replaced. */
  | 'parted'
  /** Something other than SQLite wrote to the file. */
  | 'overwritten';

/** Milliseconds for which the former files must not have moved, where nobody tells whether a process has them open. */
const QUIET = 10_000;

export class LeftBehind {
  readonly #ids: Identities;
  readonly #change: Change;
  readonly #clock: Clock;
  /** Frames of its WAL were not in the file when it was let go. */
  readonly #hasPending: boolean;
  /** Descriptors keep other files from getting the same inodes. Undefined while they are closed. */
  #open: Identities<number | undefined>;
  #lastMove: { readonly state: string; readonly at: number };
  readonly #firstState: string;

  constructor(
    open: Identities<number>,
    ids: Identities,
    { change, hasPending, clock }: { readonly change: Change; readonly hasPending: boolean; readonly clock: Clock },
  ) {
    this.#open = open;
    this.#ids = ids;
    this.#change = change;
    this.#clock = clock;
    this.#hasPending = hasPending;
    this.#firstState = this.#state();
    this.#lastMove = { state: this.#firstState, at: this.#clock.steady() };
  }

  /** What forbids to open the database under `path` now, as an error with what to do about it. Takes no lock. */
  inTheWay(path: string): SeawallError | undefined {
    const now = identitiesUnder(path);
    const walIsThere = now.wal === this.#ids.wal || now.shm === this.#ids.shm;
    if (now.file === undefined) return walIsThere && this.#hasPending ? missingBesideWal(path) : undefined;
    if (now.file !== this.#ids.file) return walIsThere ? staleWal(path) : undefined;
    if (now.wal !== this.#ids.wal) return this.#mayBeOpen() ? partedFiles(path) : undefined;
    // A process that has it open means the new content together with this WAL, and so does SQLite.
    const isLeftover = this.#change === 'overwritten' && this.#hasPending && !this.#isOpen();
    return isLeftover ? overwrittenBesideWal(path) : undefined;
  }

  #isOpen(): boolean {
    return otherHolders([this.#ids.file, this.#ids.shm]) === 'others' || this.#state() !== this.#firstState;
  }

  /**
   * A process that has a WAL open that was removed brings its commits into the file when it closes, unless another holds
   * a lock at that moment. So the question is asked without a lock.
   */
  #mayBeOpen(): boolean {
    const state = this.#state();
    if (state !== this.#lastMove.state) this.#lastMove = { state, at: this.#clock.steady() };
    const holders = otherHolders([this.#ids.file, this.#ids.shm]);
    return holders === 'others' || (holders === 'unknown' && this.#clock.steady() - this.#lastMove.at < QUIET);
  }

  /** Changes whenever a process that has the former files open commits. */
  #state(): string {
    const { shm, wal } = this.#open;
    if (shm === undefined || wal === undefined) return this.#lastMove.state;
    const { size, mtimeMs } = fstatSync(wal);
    return JSON.stringify([readShmHeader(shm), size, mtimeMs]);
  }

  /**
   * Does `open` without the descriptors: if the files that it opens are these, closing them later would drop its locks.
   * If it fails, they are opened again.
   */
  without<T>(path: string, open: () => T): T {
    this.release();
    try {
      return open();
    } catch (error) {
      this.#regain(path);
      throw error;
    }
  }

  release(): void {
    const { file, wal, shm } = this.#open;
    for (const fd of [file, wal, shm]) if (fd !== undefined) closeSync(fd);
    this.#open = { file: undefined, wal: undefined, shm: undefined };
  }

  #regain(path: string): void {
    const again = (name: string, id: string): number | undefined => {
      try {
        const fd = openSync(name, 'r');
        const { dev, ino } = fstatSync(fd, { bigint: true });
        if (`${dev}:${ino}` === id) return fd;
        closeSync(fd);
      } catch {
        // It is gone, so nothing of it can lie under the path.
      }
      return undefined;
    };
    this.#open = {
      file: again(path, this.#ids.file),
      wal: again(`${path}-wal`, this.#ids.wal),
      shm: again(`${path}-shm`, this.#ids.shm),
    };
  }
}
