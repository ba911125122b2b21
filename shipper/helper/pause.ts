/** A pause that can be cut short. */
import { setTimeout as sleep } from 'node:timers/promises';

export class Pause {
  #wake: () => void = () => undefined;

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

  end(): void {
    this.#wake();
  }
}
