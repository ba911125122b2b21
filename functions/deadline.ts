/** The end of a function's time, early enough to clean up. */
import { FunctionFailure } from './failure.ts';

/** Milliseconds before its end at which a function stops what it does. */
export const MARGIN = 10_000;

export class OutOfTime extends FunctionFailure {
  constructor() {
    super('time', 'OUT_OF_TIME', "the function's time is up; what was half done has been undone");
  }
}

/** Aborts its signal, with {@link OutOfTime}, so many milliseconds before the time is up. */
export class Deadline implements Disposable {
  readonly #abort = new AbortController();
  readonly #timer: NodeJS.Timeout | undefined;

  /** @param remaining milliseconds, as Lambda's context tells them */
  constructor(remaining: number, margin = MARGIN) {
    const left = remaining - margin;
    if (left <= 0) this.#abort.abort(new OutOfTime());
    else
      this.#timer = setTimeout(() => {
        this.#abort.abort(new OutOfTime());
      }, left);
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
