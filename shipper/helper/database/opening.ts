/** Opens the database at a path, once it can be opened. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isKind } from '../../../replica/terms/errors.ts';
import type { Clock } from '../../clock.ts';
import type { Settings } from '../../options.ts';
import { FileAtRest } from './file-at-rest.ts';
import type { LeftBehind } from './left-behind.ts';
import { LiveDatabase } from './live-database.ts';
import { switchToWal } from './wal-mode.ts';

/** Milliseconds between two attempts. */
const PAUSE = 500;
/**
 * How long a lock may last, in milliseconds: the last connection that closes has one, and so has a recovery of the WAL.
 */
const LOCK_PATIENCE = 5000;
const LOCK_PAUSE = 50;

/**
 * Opens the database. Throws what {@link LiveDatabase.open} throws, DATABASE_LOCKED and WAL_FILES_REMOVED only when they
 * have lasted for some seconds, and the signal's reason.
 */
export async function open(settings: Settings, clock: Clock, signal: AbortSignal): Promise<LiveDatabase> {
  const until = clock.steady() + LOCK_PATIENCE;
  for (;;) {
    signal.throwIfAborted();
    try {
      return openNow(settings, clock);
    } catch (error) {
      if (!passes(error) || clock.steady() >= until) throw error;
    }
    await sleep(LOCK_PAUSE, undefined, { signal }).catch(() => undefined);
  }
}

function openNow(settings: Settings, clock: Clock): LiveDatabase {
  return LiveDatabase.open(settings.database, clock, { ...(settings.enableWal && { prepare: switchToWal }) });
}

/** Another process opens, closes or recovers the database at this moment, or it stays so. */
function passes(error: unknown): boolean {
  return isKind(error, 'refused') && (error.code === 'DATABASE_LOCKED' || error.code === 'WAL_FILES_REMOVED');
}

/**
 * Waits for a database under the path of the one that was left behind, for as long as it takes: one that may be opened,
 * that nothing writes to past SQLite any more, and that is whole. `onFailure` is told what is in the way. Throws the
 * signal's reason if that ends it.
 */
export async function reopen(
  left: LeftBehind,
  settings: Settings,
  clock: Clock,
  signal: AbortSignal,
  onFailure: (error: unknown) => void,
): Promise<LiveDatabase> {
  const path = settings.database;
  const patient = clock.steady() + LOCK_PATIENCE;
  const rest = new FileAtRest(path, clock);
  try {
    for (;;) {
      signal.throwIfAborted();
      try {
        const inTheWay = left.inTheWay(path);
        if (inTheWay !== undefined) throw inTheWay;
        if (rest.isAtRest()) return left.without(path, () => openNow(settings, clock));
      } catch (error) {
        if (!passes(error) || clock.steady() >= patient) onFailure(error);
      }
      await sleep(PAUSE, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    left.release();
  }
}
