/** The heartbeat: renews the head object, from which the backup's age is judged without asking the app. */
import { writeHead } from '../../../replica/catalogue/head.ts';
import type { Store } from '../../../replica/store/store.ts';
import type { CapturePoint } from '../capture/capture.ts';

/** After a failure the next try comes no later than this, milliseconds. */
const AFTER_FAILURE = 30_000;

export class Heartbeat {
  readonly #store: Store;
  readonly #interval: number;
  readonly #now: () => number;
  readonly #elapsed: () => number;
  #next = -Infinity;

  /**
   * `interval` in milliseconds; 0 for no heartbeat at all. `now` is what the head tells; when the next one is due is
   * measured by `elapsed`, since `now` may be set forward and back.
   */
  constructor(store: Store, interval: number, now: () => number, elapsed = (): number => performance.now()) {
    this.#store = store;
    this.#interval = interval;
    this.#now = now;
    this.#elapsed = elapsed;
  }

  get wanted(): boolean {
    return this.#interval > 0;
  }

  get due(): boolean {
    return this.wanted && this.#elapsed() >= this.#next;
  }

  /** Makes the next one due at once: there is a new generation, or a new end to tell of. */
  hurry(): void {
    this.#next = -Infinity;
  }

  /** Says that everything up to `point` is in the bucket and nothing newer exists now. One try. */
  async beat(point: CapturePoint): Promise<void> {
    const seen = this.#now();
    const begun = this.#elapsed();
    this.#next = begun + Math.min(this.#interval, AFTER_FAILURE);
    const { checksum, pages, time } = point.state;
    await writeHead(this.#store, { position: point, checksum, pages, committed: time, seen });
    this.#next = begun + this.#interval;
  }
}
