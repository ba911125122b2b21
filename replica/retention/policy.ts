/** How long a replica's past is kept. */

export interface RetentionPolicy {
  /** Milliseconds before now in which every moment can be restored. */
  readonly window: number;
  /** Beyond the window: so many days (UTC), the last that have a snapshot, of which the newest snapshot is kept. */
  readonly daily: number;
  /** The same for ISO weeks. */
  readonly weekly: number;
  /** The same for months (UTC). */
  readonly monthly: number;
  /** Milliseconds for which nothing is deleted that a running restore may need. */
  readonly grace: number;
}

const HOUR = 3_600_000;

/**
 * The policy unless another is given: every moment of 7 days, then 14 days, 8 weeks and 12 months; an hour of grace.
 */
export const DEFAULT_RETENTION: RetentionPolicy = {
  window: 7 * 24 * HOUR,
  daily: 14,
  weekly: 8,
  monthly: 12,
  grace: HOUR,
};

/** Fills in the defaults. Throws a RangeError that names the wrong field and its value. */
export function retentionPolicy(given: Partial<RetentionPolicy> = {}): RetentionPolicy {
  const policy = { ...DEFAULT_RETENTION, ...given };
  for (const [name, value] of Object.entries(policy)) {
    if (!(name in DEFAULT_RETENTION)) throw new RangeError(`retention has no field ${JSON.stringify(name)}`);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`retention.${name} must be a whole number, 0 or more, not ${String(value)}`);
    }
  }
  return policy;
}

export type Period = 'daily' | 'weekly' | 'monthly';

/** Names the day, ISO week or month (UTC) that a time lies in. */
export function periodOf(period: Period, time: number): string {
  const date = new Date(time);
  if (period === 'daily') return date.toISOString().slice(0, 10);
  if (period === 'monthly') return date.toISOString().slice(0, 7);
  // A week belongs to the year of its Thursday.
  const thursday = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()));
  thursday.setUTCDate(thursday.getUTCDate() + 3 - ((thursday.getUTCDay() + 6) % 7));
  const year = thursday.getUTCFullYear();
  const week = 1 + Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * 24 * HOUR));
  return `${year}-W${String(week).padStart(2, '0')}`;
}
