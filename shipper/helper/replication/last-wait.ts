/** What a stop waits for while the database is let go. */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Staging } from '../capture/staging.ts';
import type { FollowedDatabase } from './followed-database.ts';
import type { ReplicatorContext } from './replicator-context.ts';

/** Milliseconds for which a stop waits for a database that was let go. */
const LAST_WAIT = 3000;

/**
 * Files that were let go may be free a moment after the app has closed them; what was captured before is shipped. Waits
 * at most `timeout` milliseconds.
 */
export async function lastWait(
  timeout: number,
  database: FollowedDatabase,
  staging: Staging,
  { clock, settings }: ReplicatorContext,
): Promise<void> {
  const from = clock.steady();
  const waits = (): boolean => {
    if (database.live !== undefined) return false;
    const passed = clock.steady() - from;
    const mayReturn = passed < LAST_WAIT && existsSync(settings.database);
    return passed < timeout && (mayReturn || staging.length > 0);
  };
  while (waits()) await sleep(20);
}
