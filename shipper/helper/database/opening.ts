/** Opens the database at a path, once it can be opened. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isKind } from '../../../replica/terms/errors.ts';
import type { Clock } from '../../clock.ts';
import type { Settings } from '../../options.ts';
import type { LeftBehind } from './left-behind.ts';
import { LiveDatabase } from './live-database.ts';
import { switchToWal } from './wal-mode.ts';

/** Milliseconds between two attempts. */
const PAUSE = 500;
/**
 * How long a lock may last, in milliseconds: the last connection that closes has one, and so has a recovery of the WAL.
 */
const LOCK_PATIENCE = 5000;
const LOCK_PAUSE = 20;

/**
 * Opens the database. Throws what {@link LiveDatabase.open} throws, but DATABASE_LOCKED only after some seconds; also
 * the signal's reason.
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
 * Abandons `former` and waits, as long as it takes, for a database at its path that can be followed. Tells `onFailure`
 * what is in the way. Throws the signal's reason.
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
