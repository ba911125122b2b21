/** Opens the database that lies under a path, once it can be opened. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isKind } from '../../../replica/terms/errors.ts';
import type { Clock } from '../../clock.ts';
import type { Settings } from '../../options.ts';
import type { LeftBehind } from './left-behind.ts';
import { LiveDatabase } from './live-database.ts';
import { switchToWal } from './wal-mode.ts';

/** Milliseconds between two tries. */
const PAUSE = 500;
/** Milliseconds within which a lock has to pass: the last connection that closes has one, and whoever recovers a WAL. */
const LOCK_PATIENCE = 5000;
const LOCK_PAUSE = 20;

/**
 * Opens the database. Throws what {@link LiveDatabase.open} throws, DATABASE_LOCKED only when it has lasted for some
 * seconds, and the signal's reason.
 */
export async function open(
  settings: Settings,
  clock: Clock,
  signal: AbortSignal,
  former?: LeftBehind,
): Promise<LiveDatabase> {
  const until = clock.steady() + LOCK_PATIENCE;
  for (;;) {
    signal.throwIfAborted();
    try {
      return LiveDatabase.open(settings.database, clock, {
        ...(former && { former }),
        ...(settings.enableWal && { prepare: switchToWal }),
      });
    } catch (error) {
      const isLocked = isKind(error, 'refused') && error.code === 'DATABASE_LOCKED';
      if (!isLocked || clock.steady() >= until) throw error;
    }
    await sleep(LOCK_PAUSE, undefined, { signal }).catch(() => undefined);
  }
}

/**
 * Leaves `former` as it is, and waits for a database under its path that can be followed, for as long as it takes;
 * `onFailure` is told what is in the way. Throws the signal's reason when that ends it.
 */
export async function reopen(
  former: LiveDatabase,
  settings: Settings,
  clock: Clock,
  signal: AbortSignal,
  onFailure: (error: unknown) => void,
): Promise<LiveDatabase> {
  const left = former.abandon();
  try {
    for (;;) {
      signal.throwIfAborted();
      try {
        return await open(settings, clock, signal, left);
      } catch (error) {
        if (signal.aborted) throw error;
        onFailure(error);
      }
      await sleep(PAUSE, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    left.release();
  }
}
