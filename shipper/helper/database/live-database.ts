/**
 * The helper's control over a live database: the pin, the checkpoints, and the ends of WAL indexes.
 *
 * The pin is a read transaction that one of two connections always holds: the next one begins before the last one ends.
 * While the pin stands on a frame, SQLite cannot restart the WAL. While it stands on the database file alone (after
 * everything was checkpointed), SQLite may restart the WAL once and then checkpoint nothing. So a frame leaves the WAL
 * only after the pin was moved past it.
 */
import type { Clock } from '../../clock.ts';
import type { Blocker } from '../../reasons.ts';
import { ContinuityLost } from '../continuity-lost.ts';
import { beginRead, Connections, type Role } from './connections.ts';
import { identitiesUnder, type Identities } from './file-identity.ts';
import { FileStamp } from './file-stamp.ts';
import type { Change, LeftBehind } from './left-behind.ts';
import { LiveFiles } from './live-files.ts';
import { beingWritten, checkFile, checkLibrary, failsOnDisk, isBusy, notWal, openError } from './sqlite-refusals.ts';
import type { ShmHeader } from './shm-header.ts';
import { otherHolders } from './other-holders.ts';
import { refuseParted } from './use-by-others.ts';

/** How long one attempt to take the write lock lasts, in milliseconds. */
const LOCK_TRIES_MS = 25;
/**
 * How long a seal waits for another checkpoint, before it has the write lock and while it holds it, in milliseconds.
 */
const COPY_MS = 100;
const SEAL_HOLD_MS = 20;
/** Most rounds of copying before a seal takes the write lock, and how many frames may be left to copy under it. */
const COPY_ROUNDS = 4;
const SHORT_TAIL = 64;

/** Takes all committed frames in `wal`. Called again as there are more; at the last call no more can come. */
export type Take = (wal: ShmHeader) => void;

export type SealResult =
  /** The index ended at the last committed frame in `wal`. */
  { readonly kind: 'sealed'; readonly wal: ShmHeader } | { readonly kind: 'blocked'; readonly by: Blocker };

/** Where a snapshot began: at the end of an index, or at a frame of an index that goes on. */
export interface Held {
  readonly kind: 'sealed' | 'at-frame';
  readonly wal: ShmHeader;
}

export interface OpenOptions {
  readonly prepare?: (path: string) => void;
}

export class LiveDatabase {
  readonly path: string;
  readonly pageSize: number;
  readonly files: LiveFiles;
  readonly #clock: Clock;
  readonly #connections: Connections;
  #pinned: 'reader' | 'otherReader' = 'reader';
  readonly #stamp: FileStamp;
  #isEnding = false;

  /**
   * Opens the database and pins it at once. Throws `refused` or `local` with what to do about it. `prepare` is called
   * once it is known that the file may be touched.
   */
  static open(path: string, clock: Clock, { prepare }: OpenOptions = {}): LiveDatabase {
    let opened: LiveDatabase | undefined;
    let connections: Connections | undefined;
    try {
      checkFile(path);
      refuseParted(path);
      prepare?.(path);
      const before = identitiesUnder(path);
      connections = new Connections(path, () => opened?.checkPlace());
      opened = new LiveDatabase(path, connections, clock);
      // Whatever was exchanged meanwhile, the connections may have other files open than those that are read here.
      if (isSame(before, opened.files.opened)) return opened;
      opened.abandon('replaced').release();
      throw beingWritten(path);
    } catch (error) {
      // Readers are closed last: no file is touched.
      connections?.closeAll(false);
      throw openError(path, error);
    }
  }

  private constructor(path: string, connections: Connections, clock: Clock) {
    this.path = path;
    this.#clock = clock;
    this.#connections = connections;
    const checkpointer = connections.get('checkpointer');
    checkLibrary(checkpointer);
    const mode = checkpointer.pragma('journal_mode', { simple: true });
    if (mode !== 'wal') throw notWal(path, String(mode));
    this.pageSize = checkpointer.pragma('page_size', { simple: true }) as number;
    beginRead(connections.get(this.#pinned));
    this.files = new LiveFiles(path);
    this.#stamp = new FileStamp(this.files);
  }

  /**
   * The gate: nothing is opened, locked, checkpointed or captured but after this. Throws {@link ContinuityLost} if path
   * and open file are no longer the same for the database, its WAL or its WAL index (`database-replaced`,
   * `wal-files-removed`), or if something other than SQLite wrote to the file (`database-changed`). Then the database is
   * let go at once, by {@link abandon}.
   */
  checkPlace(): void {
    const astray = this.files.astray();
    if (astray === 'file') {
      throw new ContinuityLost('database-replaced', `${this.path} is another file now, or gone`);
    }
    if (astray !== undefined) {
      throw new ContinuityLost('wal-files-removed', `${this.path}-${astray} is another file now, or gone`);
    }
    if (this.#stamp.changed()) {
      throw new ContinuityLost('database-changed', `${this.path} was written to by something other than SQLite`);
    }
  }

  /** Closes all connections but the pin's, until they are needed again. */
  rest(): void {
    this.#connections.rest();
  }

  /** The WAL's header, with its committed end; undefined if a writer is changing it at this moment. */
  walIndex(): ShmHeader | undefined {
    for (let i = 0; i < 16; i++) {
      const found = this.files.shmHeader();
      if (found !== undefined) return found;
      // If a writer was killed in the middle of a change, a reader must repair it.
      if (i === 8) {
        beginRead(this.#connections.get(this.#spare));
        this.#connections.end(this.#spare);
      }
    }
    return undefined;
  }

  /**
   * Moves the pin to the newest committed frame, so that checkpoints can go on up to there. Call it only if there are
   * frames newer than the pin, or all frames are captured. Then, because checkpoints have come no further than the old
   * pin, the new one stands on a frame, the WAL cannot restart, and frames that are not captured stay.
   *
   * Returns a number of frames that the new pin is not beyond; undefined if that is unknown at this moment.
   */
  advancePin(): number | undefined {
    beginRead(this.#connections.get(this.#spare));
    this.#handOver();
    return this.walIndex()?.frames;
  }

  /** Copies frames into the database file, as far as readers allow, blocking nobody. */
  checkpointPassive(): { readonly frames: number; readonly backfilled: number } | 'busy' | 'disk' {
    this.checkPlace();
    try {
      const rows = this.#connections.get('checkpointer').pragma('wal_checkpoint(PASSIVE)') as {
        busy: number;
        log: number;
        checkpointed: number;
      }[];
      this.#stamp.renew();
      const row = rows[0];
      if (row?.busy !== 0) return 'busy';
      return { frames: row.log, backfilled: row.checkpointed };
    } catch (error) {
      if (isBusy(error)) return 'busy';
      if (failsOnDisk(error)) return 'disk';
      throw error;
    }
  }

  /**
   * Ends the WAL index without a lock, when everything in it is already in the database file: the pin moves to the
   * database file alone, so the app's next commit restarts the WAL. `take` gets what was not taken yet, while the
   * old pin still keeps every frame. Returns whether the index is sealed.
   */
  sealIdle(take: Take): boolean {
    if (this.#beginIdle([this.#spare], take) === undefined) return false;
    this.#handOver();
    return true;
  }

  /** The reader that does not hold the pin. */
  get #spare(): 'reader' | 'otherReader' {
    return this.#pinned === 'reader' ? 'otherReader' : 'reader';
  }

  /** The spare reader, which must have begun, holds the pin from now on. */
  #handOver(): void {
    const before = this.#pinned;
    this.#pinned = this.#spare;
    this.#connections.end(before);
  }

  /**
   * Ends the WAL index and begins a snapshot (see {@link releaseSnapshot}) in the same instant. If everything in the
   * WAL is already in the database file, that takes no lock, so it works even beside an app that checkpoints all the
   * time and always holds the locks. Otherwise `locking` makes it a {@link seal}.
   */
  hold(take: Take, locking: boolean): SealResult {
    // Together with the pin: what is committed from now on is beyond both.
    const wal = this.#beginIdle(['snapshotReader', this.#spare], take);
    if (wal === undefined) return locking ? this.seal(take, true) : { kind: 'blocked', by: 'checkpoint' };
    this.#handOver();
    return { kind: 'sealed', wal };
  }

  /**
   * Begins a snapshot at the newest frame and moves the pin there, however little of the WAL is in the database file:
   * the way to go if the app keeps an index from ending. Frames up to there stay in the WAL as long as the pin does.
   * With `locking` it works beside any writer that releases the lock at times. Returns undefined if it is impossible
   * now.
   */
  holdAtFrame(locking: boolean): Held | undefined {
    const begin = (): ShmHeader | undefined => this.#beginAtOneState(['snapshotReader', this.#spare]);
    let wal = begin();
    if (wal === undefined && locking && this.#lockWriter()) {
      try {
        wal = begin();
      } finally {
        this.#connections.end('writer');
      }
    }
    if (wal === undefined) return undefined;
    this.#handOver();
    return { kind: 'at-frame', wal };
  }

  /**
   * Begins reads of the database file alone, all of one state. Returns undefined, and begins none, if that is
   * impossible now.
   */
  #beginIdle(readers: readonly Role[], take: Take): ShmHeader | undefined {
    return this.#beginAtOneState(readers, ({ frames, backfilled }) => frames === backfilled, take);
  }

  /** Begins reads of one state that `fits`. Returns undefined, and begins none, if that is impossible now. */
  #beginAtOneState(
    readers: readonly Role[],
    fits: (wal: ShmHeader) => boolean = () => true,
    take: Take = () => undefined,
  ): ShmHeader | undefined {
    this.checkPlace();
    const before = this.walIndex();
    if (before === undefined || !fits(before)) return undefined;
    const end = (): void => {
      for (const reader of readers) this.#connections.end(reader);
    };
    try {
      for (const reader of readers) beginRead(this.#connections.get(reader));
      const after = this.walIndex();
      if (after?.frames === before.frames && after.salt1 === before.salt1 && fits(after)) {
        take(after);
        return after;
      }
    } catch (error) {
      end();
      throw error;
    }
    end();
    return undefined;
  }

  /**
   * Ends the WAL index under the write lock, for milliseconds. No commit can come between: the tail is taken, copied
   * into the database file, and the pin moves to the database file alone. With `hold`, a snapshot begins in the same
   * instant (see {@link releaseSnapshot}). Most is taken and copied before the lock. If a reader prevents the copying,
   * the lock is not taken.
   */
  seal(take: Take, hold = false): SealResult {
    const blocked = this.#copyAhead(take);
    if (blocked !== undefined) return { kind: 'blocked', by: blocked };
    if (!this.#lockWriter()) return { kind: 'blocked', by: 'writer' };
    try {
      const wal = this.walIndex();
      if (wal === undefined) return { kind: 'blocked', by: 'writer' };
      take(wal);
      if (wal.backfilled !== wal.frames) {
        this.advancePin();
        const blocked = this.#copyTo(wal.frames, SEAL_HOLD_MS);
        if (blocked !== undefined) return { kind: 'blocked', by: blocked };
      }
      if (hold) beginRead(this.#connections.get('snapshotReader'));
      this.advancePin();
      return { kind: 'sealed', wal };
    } finally {
      this.#connections.end('writer');
    }
  }

  /**
   * Takes and copies what there is, again and again while what comes meanwhile gets less: an app at full speed commits
   * as much during a long copying as there was to copy. Each round takes before it copies, because the pin may come to
   * stand on the database file alone.
   */
  #copyAhead(take: Take): Blocker | undefined {
    let tail = Infinity;
    for (let round = 0; round < COPY_ROUNDS; round++) {
      const wal = this.walIndex();
      if (wal === undefined) return 'writer';
      const left = wal.frames - wal.backfilled;
      if (round > 0 && (left <= SHORT_TAIL || left > tail / 2)) return undefined;
      tail = left;
      take(wal);
      this.advancePin();
      const blocked = this.#copyTo(wal.frames, COPY_MS);
      if (blocked !== undefined) return blocked;
    }
    return undefined;
  }

  /** Pages of the database as the held snapshot sees it. */
  snapshotPages(): number {
    if (!this.snapshotHeld) throw new Error('no snapshot is held');
    return this.#connections.get('snapshotReader').pragma('page_count', { simple: true }) as number;
  }

  /** While true, checkpoints copy nothing and indexes cannot be ended. */
  get snapshotHeld(): boolean {
    return this.#connections.inTransaction('snapshotReader');
  }

  /** Lets checkpoints change the database file again. */
  releaseSnapshot(): void {
    this.#connections.end('snapshotReader');
  }

  /**
   * Restarts and truncates an overgrown WAL file after a seal: a write without effect makes SQLite restart it, and the
   * size limit cuts the file. No data of the user changes, but the change counter in the file's header does.
   */
  shrinkWal(): void {
    if (this.#isEnding || !this.#lockWriter()) return;
    const writer = this.#connections.get('writer');
    try {
      writer.pragma('journal_size_limit = 0');
      const version = writer.pragma('user_version', { simple: true }) as number;
      writer.pragma(`user_version = ${version}`);
      writer.exec('COMMIT');
    } finally {
      this.#connections.end('writer');
    }
  }

  /** No other process has the database open; false if that cannot be told. */
  isLeft(): boolean {
    return this.#holders(false) === 'none';
  }

  #holders(fresh = true): ReturnType<typeof otherHolders> {
    const { file, shm } = this.files.opened;
    return otherHolders([file, shm], fresh);
  }

  /** Empties the WAL after a seal, unless something was committed since. Writes nothing into the database file. */
  emptyWal(): void {
    this.checkPlace();
    const wal = this.walIndex();
    if (this.#isEnding || wal === undefined || wal.frames !== wal.backfilled) return;
    try {
      this.#connections.get('checkpointer').pragma('wal_checkpoint(TRUNCATE)');
      this.#stamp.carryOver();
    } catch (error) {
      if (!isBusy(error) && !failsOnDisk(error)) throw error;
    }
  }

  /** From now on nothing is written any more: it would come after the last commit that is shipped. */
  ending(): void {
    this.#isEnding = true;
  }

  /**
   * Closes everything; where nobody else has the database open, SQLite checkpoints it and removes the WAL. If the files
   * are no longer the same, none is touched.
   */
  close(): void {
    try {
      this.checkPlace();
      this.#connections.get('writer'); // readers cannot do so
    } catch {
      // Then the WAL stays, which is no loss.
      this.abandon('replaced').release();
      return;
    }
    this.#connections.closeAll(true);
    this.files.close();
  }

  /**
   * Closes everything without touching any file: SQLite, closing its last connection, would copy frames into a file that
   * they do not belong to, and remove a WAL that another process uses.
   */
  abandon(change: Change): LeftBehind {
    if (change === 'overwritten') this.#dropCopiedFrames();
    this.#connections.closeAll(false);
    return this.files.leave(change, this.#clock);
  }

  /**
   * Empties a WAL whose frames are all in the file, by a checkpoint that has nothing to copy. If the helper were not
   * there, SQLite would have removed that WAL when the app closed; left beside a file that was overwritten since, it
   * would be copied over the new content by whoever opens the database next. Does nothing if a process has it open.
   */
  #dropCopiedFrames(): void {
    try {
      const wal = this.walIndex();
      if (wal === undefined || wal.frames !== wal.backfilled || this.files.astray() !== undefined) return;
      if (this.#holders() !== 'none') return;
      // The gate forbids every connection now; this one can copy nothing.
      const checkpointer = this.#connections.get('checkpointer', () => undefined);
      checkpointer.pragma('user_version');
      for (const reader of [this.#spare, this.#pinned, 'snapshotReader'] as const) this.#connections.end(reader);
      checkpointer.pragma('wal_checkpoint(TRUNCATE)');
    } catch {
      // Then the WAL stays, and the database is not opened while it lies there.
    }
  }

  /**
   * Does `act` under the write lock, so that the app cannot commit meanwhile; without it if the lock cannot be taken.
   */
  holdingBack(act: () => void): void {
    const locked = this.#lockWriter();
    try {
      act();
    } finally {
      if (locked) this.#connections.end('writer');
    }
  }

  #lockWriter(): boolean {
    this.checkPlace();
    const until = this.#clock.steady() + LOCK_TRIES_MS;
    do {
      try {
        this.#connections.get('writer').exec('BEGIN IMMEDIATE');
        return true;
      } catch (error) {
        if (!isBusy(error)) throw error;
      }
    } while (this.#clock.steady() < until);
    return false;
  }

  /** Copies this many frames into the database file. Waits up to `patience` milliseconds for another checkpoint. */
  #copyTo(frames: number, patience: number): Blocker | undefined {
    const until = this.#clock.steady() + patience;
    do {
      const done = this.checkpointPassive();
      if (done === 'disk') return done;
      if (done !== 'busy') return done.backfilled >= frames ? undefined : 'reader';
      Atomics.wait(NEVER, 0, 0, 1);
    } while (this.#clock.steady() < until);
    return 'checkpoint';
  }
}

function isSame(before: Identities<string | undefined>, opened: Identities): boolean {
  return (['file', 'wal', 'shm'] as const).every((name) => before[name] === undefined || before[name] === opened[name]);
}

/** Nobody notifies it, so waiting on it is a synchronous pause. */
const NEVER = new Int32Array(new SharedArrayBuffer(4));
