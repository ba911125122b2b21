/**
 * What to do about the WAL's length, decided from numbers alone.
 *
 * A checkpoint is PASSIVE, from 4 MiB of WAL on, and blocks nobody. RESTART and TRUNCATE are never used. Once
 * everything is copied, whoever did it, the index is sealed without a lock, and the app's next commit restarts the WAL.
 * Under a steady load that never happens by itself, so from 16 MiB on the helper takes the write lock for the few
 * milliseconds that the tail needs.
 *
 * While a reader of the app keeps old frames needed, nothing is forced, and attempts come further and further apart. An
 * app that commits faster than its frames are captured is let go on: its index stays open while there is more to
 * capture than can be kept in memory. Only an app that is ahead by sixteen indexes, and by as much as staging may hold,
 * is held back, in slices of some 15 ms, so that the WAL ends somewhere.
 *
 * A checkpoint makes the disk take the WAL first, and after a move of the pin the app's next commit mostly begins one
 * before the helper does. So if more than 8 MiB wait, the disk is asked for them beforehand (`fdatasync` in a thread),
 * and the next checkpoint begins no sooner than four times what the last one took.
 */

/** What was found when the WAL is looked after. */
export type Occasion =
  /** Its present index has no frames yet. */
  | 'ended'
  /** There were no commits since the last look. */
  | 'idle'
  /** There were commits since the last look. */
  | 'busy'
  /** All that is committed was just captured, to be uploaded. */
  | 'uploading'
  /** All that is committed should have been captured, but the store is away. */
  | 'overdue'
  /** More is not captured yet than could be while the index ends. */
  | 'behind';

export interface WalPressure {
  /** Committed frames in the WAL that belong to the present index. */
  readonly frames: number;
  /** Bytes of committed frames in the present index, and of those in the WAL not yet copied into the database file. */
  readonly used: number;
  readonly pending: number;
  /** Size of the WAL file on disk, bytes. */
  readonly fileSize: number;
  /** Milliseconds since the first frame of this index was seen. */
  readonly indexAge: number;
  /** Milliseconds since the end of the last passive checkpoint, and what it took, flushes included. */
  readonly sincePassive: number;
  readonly passiveTook: number;
  /** Bytes of committed frames that were not flushed to disk yet. */
  readonly unflushed: number;
  /** Whether a flush is under way, and how many there were since the last passive checkpoint. */
  readonly flushing: boolean;
  readonly flushes: number;
  /** Milliseconds since an attempt to seal last failed. */
  readonly sinceBlocked: number;
  /** Failed attempts to seal in a row. */
  readonly blockedTries: number;
  readonly occasion: Occasion;
}

export interface CheckpointLimits {
  readonly checkpointAt: number;
  readonly sealAt: number;
  readonly sealInterval: number;
  readonly shrinkAt: number;
}

export type CheckpointAction =
  | { readonly kind: 'none' }
  /** Flush the WAL to disk, ahead of a checkpoint. */
  | { readonly kind: 'flush' }
  /** Copy frames into the database file, as far as readers allow. */
  | { readonly kind: 'passive' }
  /** End the index without a lock, since everything is copied already. */
  | { readonly kind: 'seal-idle' }
  /** End the index under the write lock. */
  | { readonly kind: 'seal'; readonly why: 'upload' | 'length' | 'age' | 'file-size' };

/** Least milliseconds between two passive checkpoints, and least multiple of what the last one took. */
const PASSIVE_PAUSE = 200;
const PASSIVE_SHARE = 4;
/**
 * A checkpoint waits until the disk has the WAL. Once the pin has moved, the app's next commit mostly begins one before
 * the helper does. So if more than this many bytes are not on disk, they are flushed first, in up to this many rounds,
 * while the app goes on.
 */
const MUCH_UNFLUSHED = 8 << 20;
const MOST_FLUSHES = 4;
/** Milliseconds between two attempts at a seal that was blocked: doubled with each failure, up to the longest. */
const SEAL_PAUSE = 100;
const LONGEST_SEAL_PAUSE = 5000;

/**
 * An index of this many frames ends with the upload of its commits. SQLite's own checkpoint begins at 1,000 frames
 * unless the app says otherwise. From there on every commit tries it again, with its fsyncs, as long as a reader such
 * as the pin keeps the WAL from its restart. An index that ends earlier keeps that work out of the app's commits.
 */
const LONG_INDEX = 500;

export function decideCheckpoint(wal: WalPressure, limits: CheckpointLimits): CheckpointAction {
  if (wal.used === 0) return { kind: 'none' };
  const due = wal.indexAge >= limits.sealInterval;
  // Everything is copied, by the app's checkpoint or ours, so the WAL may restart. A checkpoint of the app in RESTART
  // or TRUNCATE mode may be waiting for just that with the write lock held.
  if (wal.pending === 0) return { kind: 'seal-idle' };
  if (
    wal.occasion !== 'behind' &&
    wal.sinceBlocked >= Math.min(SEAL_PAUSE * 2 ** Math.min(wal.blockedTries, 10), LONGEST_SEAL_PAUSE)
  ) {
    const isUploading = wal.occasion === 'uploading' || wal.occasion === 'overdue';
    if (isUploading && wal.frames >= LONG_INDEX) return { kind: 'seal', why: 'upload' };
    if (wal.used >= limits.sealAt) return { kind: 'seal', why: 'length' };
    if (wal.fileSize >= limits.shrinkAt && wal.used >= limits.checkpointAt) return { kind: 'seal', why: 'file-size' };
    if (due && wal.occasion !== 'busy') return { kind: 'seal', why: 'age' };
  }
  const pause = Math.max(PASSIVE_PAUSE, PASSIVE_SHARE * wal.passiveTook);
  if (wal.pending < limits.checkpointAt || wal.sincePassive < pause || wal.flushing) return { kind: 'none' };
  return wal.unflushed > MUCH_UNFLUSHED && wal.flushes < MOST_FLUSHES ? { kind: 'flush' } : { kind: 'passive' };
}
