import { setTimeout as sleepFor } from 'node:timers/promises';

export interface BackoffOptions {
  /** Longest wait before the second attempt, milliseconds; doubles with each further one. */
  readonly baseMs: number;
  /** No wait is longer, milliseconds. */
  readonly capMs: number;
}

export interface RetryOptions extends BackoffOptions {
  /** Attempts in all, the first included; Infinity to retry until the signal. */
  readonly attempts: number;
  /** Whether an attempt that failed this way may be repeated. */
  readonly retryable: (error: unknown) => boolean;
  /** Ends the waiting, and no further attempt is begun; the signal's reason is thrown. */
  readonly signal?: AbortSignal;
  /** From 0 up to 1. @default Math.random */
  readonly random?: () => number;
  /** @default timers/promises */
  readonly sleep?: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** Called before each wait: the error, the number of failures so far, and the wait in milliseconds. */
  readonly onRetry?: (error: unknown, failures: number, delayMs: number) => void;
}

/**
 * How long to wait after the `failures`th failure in a row, milliseconds. The wait doubles up to the cap, and is then chosen
 * between half of that and all of it, so that clients that failed together do not retry together.
 */
export function backoffDelay(failures: number, { baseMs, capMs }: BackoffOptions, random: () => number): number {
  // Past 2^31 the cap has long been reached; the bound keeps the power finite.
  const full = Math.min(capMs, baseMs * 2 ** Math.min(failures - 1, 31));
  return full * (0.5 + random() / 2);
}

/** Runs an operation until it succeeds, fails in a way that is not retryable, or has no attempts left. Throws its last error. */
export async function retry<T>(operation: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  const { attempts, retryable, signal, onRetry, random = Math.random, sleep = defaultSleep } = options;
  if (!(attempts >= 1)) throw new RangeError(`attempts must be at least 1, got ${attempts}`);
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return await operation(attempt);
    } catch (error) {
      if (attempt >= attempts || !retryable(error)) throw error;
      const delay = backoffDelay(attempt, options, random);
      onRetry?.(error, attempt, delay);
      await sleep(delay, signal);
    }
  }
}

async function defaultSleep(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await sleepFor(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted(); // the caller's reason, not the timer's AbortError
    throw error;
  }
}
