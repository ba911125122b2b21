/**
 * A held snapshot: one state of the database stands still while it is read and uploaded. Usually it is the database
 * file at the end of a WAL index. The app goes on writing to the WAL, which nobody may checkpoint meanwhile.
 *
 * So the WAL grows as long as the snapshot is held. While the store takes uploads, that is the price of a large
 * database. If the store is away, the snapshot is given up at a limit, and the WAL can be checkpointed again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { SeawallError } from '../../../replica/terms/errors.ts';
import { frameSize } from '../../../replica/wal/format.ts';
import type { Clock } from '../../clock.ts';
import type { Settings } from '../../options.ts';
import type { Boundary } from '../capture/boundary.ts';
import { HeldImage } from './held-image.ts';
import type { Blocker } from '../../reasons.ts';
import type { Held, LiveDatabase, SealResult } from '../database/live-database.ts';
import type { FairSemaphore } from '../sharing/fair-semaphore.ts';
import type { ShmHeader } from '../database/shm-header.ts';

/** Milliseconds between two attempts to begin. Of this many attempts, one takes the lock. */
const TRY_PAUSE = 5;
const LOCK_EVERY = 20;
/** Milliseconds between two looks at how much a snapshot costs. */
const WATCH_PAUSE = 100;
/** How long the snapshot waits for the end of an index before it begins within one, in milliseconds. */
const END_PATIENCE = 1000;

export interface HoldLimits {
  /** Bytes the WAL may grow by while the store takes nothing. */
  readonly most: number;
  /** Milliseconds without progress after which the store counts as away. */
  readonly patience: number;
}

export interface HoldSettings {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly limits: HoldLimits;
  /** The caller has a turn of these, and yields it while the app keeps the snapshot from beginning. */
  readonly wholeReads: FairSemaphore;
  /**
   * Called with what keeps the snapshot from beginning, and with undefined once it has begun or is given up.
   */
  readonly onBlocked: (by: Blocker | undefined) => void;
  /** Runs before each attempt that takes the lock, so that little is left to do under it. */
  readonly before?: (signal: AbortSignal) => Promise<void>;
}

/**
 * While a snapshot is held, the WAL may take the disk space of captured segments, but at least the length of an index.
 */
export function holdLimits(settings: Settings): HoldLimits {
  return { most: Math.max(settings.stagingLimit, settings.sealAt), patience: settings.retryMax };
}

/** An attempt to begin a snapshot. Only if `locking` may it take the write lock, for milliseconds. */
export type Hold = (locking: boolean) => Held | SealResult;

/**
 * Tries of a snapshot that stands for all that was committed before. It is at the end of an index as a rule: one that
 * begins within an index has that index shipped from its start again. A reader that the app never ends, a writer of
 * many minutes, a full disk can keep an index from ending, so that is not insisted on.
 */
export function holdOfAll(live: LiveDatabase, clock: Clock): Hold {
  const from = clock.steady();
  return (locking) => {
    const result = live.hold(() => undefined, locking);
    const inVain = result.kind === 'blocked' && clock.steady() - from >= END_PATIENCE;
    return inVain ? (live.holdAtFrame(locking) ?? result) : result;
  };
}

/** What is done under a held snapshot. It calls `progressed` whenever the store took something. */
export type HeldWork<T> = (held: HeldState, signal: AbortSignal, progressed: () => void) => Promise<T>;

export interface HeldState {
  readonly image: HeldImage;
  /** Where in the WAL it ends. */
  readonly boundary: Boundary;
}

/**
 * Begins a snapshot by `hold` as soon as the app allows it, does `work` under it, and always releases it. Throws
 * `unreachable` (SNAPSHOT_GIVEN_UP) if it was given up; what `work` put into the store by then stays there.
 */
export async function underHeldSnapshot<T>(
  live: LiveDatabase,
  hold: Hold,
  settings: HoldSettings,
  work: HeldWork<T>,
): Promise<T> {
  const { signal, limits, clock } = settings;
  const held = new AbortController();
  const endWithAll = (): void => {
    held.abort(signal.reason);
  };
  signal.addEventListener('abort', endWithAll);
  let watch: NodeJS.Timeout | undefined;
  try {
    const begun = await begin(hold, settings).finally(() => {
      settings.onBlocked(undefined);
    });
    const { kind, wal } = begun;
    let progress = clock.steady();
    watch = setInterval(() => {
      const stalled = clock.steady() - progress;
      if (stalled < limits.patience || grownSince(live, wal) <= limits.most) return;
      clearInterval(watch);
      live.releaseSnapshot();
      held.abort(tooLong(limits, stalled));
    }, WATCH_PAUSE);
    const image = await HeldImage.of(live, begun, held.signal);
    const { salt1, salt2, frames } = wal;
    const boundary = { salt1, salt2, frames, sealed: kind === 'sealed' };
    const result = await work({ image, boundary }, held.signal, () => {
      progress = clock.steady();
    });
    // If the snapshot was released early, the WAL may have restarted since, so nobody may continue from here.
    held.signal.throwIfAborted();
    return result;
  } catch (error) {
    // If the snapshot was released early, `work` may have read anything: that is the failure to report.
    held.signal.throwIfAborted();
    throw error;
  } finally {
    clearInterval(watch);
    signal.removeEventListener('abort', endWithAll);
    live.releaseSnapshot();
  }
}

async function begin(hold: Hold, settings: HoldSettings): Promise<Held> {
  for (let tries = 0; ; tries++) {
    settings.signal.throwIfAborted();
    const locking = tries % LOCK_EVERY === 0;
    if (locking && settings.before !== undefined) {
      await settings.wholeReads.yieldWhile(settings.before(settings.signal)); // `before` waits for the store
      settings.signal.throwIfAborted();
    }
    const result = hold(locking);
    if (result.kind !== 'blocked') return result;
    if (locking) settings.onBlocked(result.by);
    await settings.wholeReads.yieldWhile(sleep(TRY_PAUSE, undefined, { signal: settings.signal }));
  }
}

function grownSince(live: LiveDatabase, start: ShmHeader): number {
  const now = live.walIndex();
  if (now === undefined) return 0;
  const sameLife = now.salt1 === start.salt1 && now.salt2 === start.salt2;
  return (now.frames - (sameLife ? start.frames : 0)) * frameSize(live.pageSize);
}

function tooLong({ most }: HoldLimits, stalled: number): SeawallError {
  return new SeawallError(
    'unreachable',
    'SNAPSHOT_GIVEN_UP',
    `the store took nothing for ${Math.round(stalled)} ms while the WAL grew by ${most} bytes under a held snapshot; it was given up, and is made again once the store is back`,
    { expected: most },
  );
}
