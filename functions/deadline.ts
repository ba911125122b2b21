/** Ends a function's work before its time is up, early enough to clean up. */
import { FunctionFailure } from './failure.ts';

/** How long before the end of its time a function stops its work, milliseconds. */
export const MARGIN = 10_000;

export class OutOfTime extends FunctionFailure {
  constructor() {
    super('time', 'OUT_OF_TIME', "the function's time is up; what was half done has been undone");
  }
}

/** Milliseconds after which the remaining time is read again: few beside the margin. */
const TICK = 250;

/**
 * Aborts its signal, with {@link OutOfTime}, `margin` milliseconds before the time is up. The remaining time is read
 * again each {@link TICK}, so that only the clock it is handed decides, and not when a timer was set.
 */
export class Deadline implements Disposable {
  readonly #abort = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  /** @param remaining milliseconds until the function is ended, as Lambda's context tells them */
  constructor(remaining: () => number, margin = MARGIN) {
    const check = (): void => {
      const left = remaining() - margin;
      if (left <= 0) this.#abort.abort(new OutOfTime());
      else this.#timer = setTimeout(check, Math.min(left, TICK));
    };
    check();
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  hasPassed(): boolean {
    return this.#abort.signal.aborted;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
