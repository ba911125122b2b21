/**
 * A held snapshot: one state of the database, as a rule its file at the end of a WAL index, stands still while it is read
 * and uploaded, and the app goes on writing to a WAL that nobody may checkpoint.
 *
 * So the WAL grows for as long as the snapshot is held. While the store takes what it is given, that is the price of a
 * large database; when the store is away, the snapshot is given up at a bound, and the WAL is let go.
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

/** Milliseconds between two tries to begin, and how many tries go without a lock for each that takes one. */
const TRY_PAUSE = 5;
const LOCK_EVERY = 20;
/** Milliseconds between two looks at how much a snapshot costs. */
const WATCH_PAUSE = 100;
/** Milliseconds for which an index is tried to be ended before the snapshot begins within it. */
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
  /** The caller has a turn of these, and gives it up while the app does not let the snapshot begin. */
  readonly wholeReads: FairSemaphore;
  /** Told what of the app keeps the snapshot from beginning; at last that nothing does, once it is not waited for any more. */
  readonly onBlocked: (by: Blocker | undefined) => void;
  /** Comes before each try that takes a lock, so that little is left to be done under it. */
  readonly before?: (signal: AbortSignal) => Promise<void>;
}

/** The disk that captured segments may take, the WAL may take in their place; never less than an index is long. */
export function holdLimits(settings: Settings): HoldLimits {
  return { most: Math.max(settings.stagingLimit, settings.sealAt), patience: settings.retryMax };
}

/** A try to begin a snapshot; only one that is `locking` may take the write lock, for milliseconds. */
export type Hold = (locking: boolean) => Held | SealResult;

/**
 * Tries of a snapshot that stands for all that was committed before. It is at the end of an index as a rule: one that
 * begins within an index has that index shipped from its start again. A reader that the app never ends, a writer of many
 * minutes, a full disk can keep an index from ending, so that is not insisted on.
 */
export function holdOfAll(live: LiveDatabase, clock: Clock): Hold {
  const from = clock.steady();
  return (locking) => {
    const result = live.hold(() => undefined, locking);
    const inVain = result.kind === 'blocked' && clock.steady() - from >= END_PATIENCE;
    return inVain ? (live.holdAtFrame(locking) ?? result) : result;
  };
}

/** What goes on under a held snapshot; `progressed` is to be called whenever the store took something. */
export type HeldWork<T> = (held: HeldState, signal: AbortSignal, progressed: () => void) => Promise<T>;

export interface HeldState {
  readonly image: HeldImage;
  /** Where in the WAL it ends. */
  readonly boundary: Boundary;
}

/**
 * Begins a snapshot by `hold`, as soon as the app lets it, and does `work` under it; lets it go in any case. Throws
 * `unreachable` (SNAPSHOT_GIVEN_UP) when it was given up: what `work` had put into the store by then stays there.
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
    // The WAL may have been restarted since the snapshot was let go: nobody may follow on from here.
    held.signal.throwIfAborted();
    return result;
  } catch (error) {
    // Once the snapshot was let go, what is read under it is anything.
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
      await settings.wholeReads.yieldWhile(settings.before(settings.signal)); // it waits for the store
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
    `the store took nothing for ${Math.round(stalled)} ms while the WAL grew by ${most} bytes under a held snapshot; it was given up, and is made anew once the store is back`,
    { expected: most },
  );
}
