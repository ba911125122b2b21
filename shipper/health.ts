/** Judges from a status whether a backup is as fresh as the app wants it to be. */
import type { ShipperStatus } from './protocol.ts';

/**
 * Why a shipper is not well:
 * - `not-started`: `start()` was not called, or it was rejected
 * - `starting`: `start()` has not resolved yet, and nothing is in the replica yet
 * - `no-answer`: the helper process did not answer in time (it stands still, or the machine is overloaded)
 * - `lagging`: commits have waited for their upload for longer than `maxLag`; `message` says what is in the way
 * - `fenced`: another shipper owns the replica
 * - `failed`: the database cannot be followed
 * - `stopped`: `stop()` was called
 */
export type HealthReason = 'not-started' | 'starting' | 'no-answer' | 'lagging' | 'fenced' | 'failed' | 'stopped';

/** Whether a backup is up to date, and if not, why. */
export interface Health {
  /** Whether everything that was committed more than `maxLag` ago is in the replica. */
  readonly ok: boolean;
  /** Everything committed so many milliseconds ago is in the replica. Absent if nothing is known to be in it. */
  readonly lag?: number;
  /** Since when it is not well, milliseconds since 1970. Absent if `ok`. */
  readonly since?: number;
  /** Absent if `ok`. */
  readonly reason?: HealthReason;
  /** What is in the way, in words. Absent if `ok`. */
  readonly message?: string;
}

export type Finding = Omit<Health, 'since'>;

/** Judges a status by the longest acceptable lag, in milliseconds. */
export function judge(status: ShipperStatus, maxLag: number): Finding {
  const { state, lag, problem } = status;
  const known = lag === undefined ? {} : { lag };
  const because = problem === undefined ? '' : `: ${problem.message}`;
  if (state === 'fenced' || state === 'failed' || state === 'stopped') {
    return { ok: false, ...known, reason: state, message: `the shipper is ${state}${because}` };
  }
  if (lag === undefined) {
    return { ok: false, reason: 'starting', message: `nothing is known to be in the replica yet${because}` };
  }
  if (lag <= maxLag) return { ok: true, lag };
  const waited = `commits have waited for ${Math.round(lag)} ms, more than ${maxLag} ms`;
  return { ok: false, lag, reason: 'lagging', message: `${waited} (${state})${because}` };
}

/** Remembers since when a shipper is not well. */
export class HealthRecord {
  #since: number | undefined;

  /** Adds `since` to a finding of the moment `now`, milliseconds since 1970. */
  record(finding: Finding, now: number): Health {
    if (finding.ok) {
      this.#since = undefined;
      return finding;
    }
    this.#since ??= finding.lag === undefined ? now : now - finding.lag;
    return { ...finding, since: this.#since };
  }
}
