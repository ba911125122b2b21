/** Pauses of a loop: for a time, or until there is something to do. */
import { setTimeout as sleep } from 'node:timers/promises';

export class Pause {
  #wake: () => void = () => undefined;
  #resting = false;

  /** Waits for `ms` milliseconds, or until {@link end}. */
  async take(ms: number): Promise<void> {
    const timer = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const timed = sleep(ms, undefined, { signal: timer.signal }).catch(() => undefined);
    await Promise.race([timed, woken]);
    timer.abort();
    this.#wake = () => undefined;
  }

  /** Waits until {@link wake} or {@link end}, without a timer. */
  async rest(): Promise<void> {
    this.#resting = true;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#resting = false;
    this.#wake = () => undefined;
  }

  /** Ends a rest, but not a pause for a time. */
  wake(): void {
    if (this.#resting) this.#wake();
  }

  /** Ends a rest or a pause. */
  end(): void {
    this.#wake();
  }
}
