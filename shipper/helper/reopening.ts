/** Opens the database that lies under a path now, once it can be opened. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Settings } from '../options.ts';
import { LiveDatabase } from './live-database.ts';
import { switchToWal } from './wal-mode.ts';

/** Milliseconds between two tries. */
const PAUSE = 500;

/**
 * Leaves `former` as it is, and waits for a database under its path that can be followed, for as long as it takes;
 * `onFailure` is told what is in the way. Throws the signal's reason when that ends it.
 */
export async function reopen(
  former: LiveDatabase,
  settings: Settings,
  signal: AbortSignal,
  onFailure: (error: unknown) => void,
): Promise<LiveDatabase> {
  const left = former.abandon();
  try {
    for (;;) {
      signal.throwIfAborted();
      try {
        return LiveDatabase.open(settings.database, {
          former: left,
          ...(settings.enableWal && { prepare: switchToWal }),
        });
      } catch (error) {
        onFailure(error);
      }
      await sleep(PAUSE, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    left.release();
  }
}
