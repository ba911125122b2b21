/** Signals that ask a command to end, and how it ends cleanly. */

export type EndSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

const SIGNALS: readonly EndSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** How long a step may take to clean up after itself, milliseconds. */
const CLEAN_UP = 5000;

/** Thrown inside the work, so that it undoes what is half done. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly signal: EndSignal;

  constructor(signal: EndSignal) {
    super(`interrupted by ${signal}`);
    this.signal = signal;
  }
}

/** Calls `first` at the first signal and `again` at each later one, until disposed. */
function onSignals(first: (signal: EndSignal) => void, again: (signal: EndSignal) => void): Disposable {
  let seen = false;
  const handler = (signal: NodeJS.Signals): void => {
    const known = signal as EndSignal;
    if (seen) again(known);
    else first(known);
    seen = true;
  };
  for (const signal of SIGNALS) process.on(signal, handler);
  return {
    [Symbol.dispose]() {
      for (const signal of SIGNALS) process.off(signal, handler);
    },
  };
}

/**
 * A request to end, as an AbortSignal for work that runs for long; its reason is {@link Interrupted}. A second signal
 * ends the process at once.
 */
export class EndRequest implements Disposable {
  readonly #abort = new AbortController();
  readonly #signals: Disposable;

  /** `told` is called once, at the first signal. */
  constructor(told: (signal: EndSignal) => void = () => undefined) {
    this.#signals = onSignals((signal) => {
      told(signal);
      this.#abort.abort(new Interrupted(signal));
    }, dieOf);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  asked(): boolean {
    return this.#abort.signal.aborted;
  }

  [Symbol.dispose](): void {
    this.#signals[Symbol.dispose]();
  }
}

/** Ends this process as the signal would have, so that shells and supervisors see the signal as the cause. */
export function dieOf(signal: EndSignal): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}

/**
 * Makes work that reports progress interruptible: after a signal the next report throws {@link Interrupted}, and the
 * work cleans up after itself. A second signal ends the process at once; so does work that reports nothing for 5 s.
 */
export class Interruptible implements Disposable {
  #signal: EndSignal | undefined;
  #limit: NodeJS.Timeout | undefined;
  readonly #signals = onSignals((signal) => {
    this.#signal = signal;
    this.#limit = setTimeout(() => {
      dieOf(signal);
    }, CLEAN_UP);
  }, dieOf);

  /** Returns the same function, except that it throws after a signal. */
  wrap<A extends readonly unknown[]>(report: (...progress: A) => void): (...progress: A) => void {
    return (...progress) => {
      if (this.#signal !== undefined) throw new Interrupted(this.#signal);
      report(...progress);
    };
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#limit);
    this.#signals[Symbol.dispose]();
  }
}
