/** The two clocks of a machine. They are handed in, so that a test can move time instead of waiting. */
export interface Clock {
  /** The wall clock: milliseconds since 1970. It may be set forward and back. */
  readonly now: () => number;
  /** The steady clock: milliseconds since some moment. It never goes back, so durations are measured by it. */
  readonly steady: () => number;
}

export const SYSTEM_CLOCK: Clock = { now: () => Date.now(), steady: () => performance.now() };
