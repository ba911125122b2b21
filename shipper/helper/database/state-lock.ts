/**
 * The state folder of a database, and the lock on it: on one machine a database has one shipper. A text file beside the
 * lock tells people who holds it.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeawallError } from '../../../replica/terms/errors.ts';
import type { Clock } from '../../clock.ts';
import { lockFile } from './lock-files.ts';

/** How long a start waits for an earlier helper that is still uploading, in milliseconds. */
const WAIT_MS = 15_000;

export class StateLock {
  readonly folder: string;
  readonly #unlock: () => void;

  private constructor(folder: string, unlock: () => void) {
    this.folder = folder;
    this.#unlock = unlock;
  }

  /**
   * Takes the lock; waits up to `wait` milliseconds for an earlier helper to finish. Throws `refused` (ALREADY_SHIPPED)
   * with the holder's pid, or `local` (STATE_FOLDER, STATE_LOCK).
   */
  static async take(folder: string, database: string, clock: Clock, wait = WAIT_MS): Promise<StateLock> {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new SeawallError(
        'local',
        'STATE_FOLDER',
        `the state folder ${folder} cannot be made: ${String(error)}`,
        { path: folder },
        error,
      );
    }
    const until = clock.steady() + wait;
    for (;;) {
      const unlock = tryLock(join(folder, 'lock'));
      if (unlock !== undefined) {
        writeFileSync(join(folder, 'holder'), `${process.pid} on ${hostname()}\n`);
        return new StateLock(folder, unlock);
      }
      if (clock.steady() >= until) {
        const holder = holderOf(folder) ?? 'unknown';
        throw new SeawallError(
          'refused',
          'ALREADY_SHIPPED',
          `${database} is being shipped by process ${holder}. One database has one shipper; stop that one first.`,
          { path: database, actual: holder },
        );
      }
      await sleep(50);
    }
  }

  release(): void {
    rmSync(join(this.folder, 'holder'), { force: true });
    this.#unlock();
  }
}

function tryLock(path: string): (() => void) | undefined {
  try {
    return lockFile(path);
  } catch (error) {
    throw new SeawallError('local', 'STATE_LOCK', `the lock ${path} cannot be used: ${String(error)}`, { path }, error);
  }
}

/** Who holds the lock on a state folder, such as `4711 on host`; undefined if nobody does. */
export function holderOf(folder: string): string | undefined {
  try {
    return readFileSync(join(folder, 'holder'), 'utf8').trim();
  } catch {
    return undefined;
  }
}
