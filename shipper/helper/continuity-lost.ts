import type { LossCause } from '../reasons.ts';

/**
 * The WAL no longer continues what was captured; `reason` says why. The shipper begins again, by a difference if it
 * can.
 */
export class ContinuityLost extends Error {
  override readonly name = 'ContinuityLost';
  readonly reason: LossCause;
  constructor(reason: LossCause, detail: string) {
    super(`${reason}: ${detail}`);
    this.reason = reason;
  }
}

/**
 * The open files are no longer the database that lies under the path, or not as SQLite left it. They must not be touched
 * any more, and are let go at once. What was captured before is history and is shipped.
 */
export function losesFiles(reason: string): reason is 'database-replaced' | 'wal-files-removed' | 'database-changed' {
  return reason === 'database-replaced' || reason === 'wal-files-removed' || reason === 'database-changed';
}
