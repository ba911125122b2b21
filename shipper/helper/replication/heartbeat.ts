/** The heartbeat: renews the head object, from which the backup's age is judged without asking the app. */
import { writeHead } from '../../../replica/catalogue/head.ts';
import type { Store } from '../../../replica/store/store.ts';
import type { Clock } from '../../clock.ts';
import type { CapturePoint } from '../capture/capture.ts';

/** After a failure the next try comes no later than this, milliseconds. */
const AFTER_FAILURE = 30_000;

export class Heartbeat {
  readonly #store: Store;
  readonly #interval: number;
  readonly #clock: Clock;
  #next = -Infinity;

  /**
   * `interval` in milliseconds; 0 for no heartbeat at all. The head tells the time of the wall clock; the steady clock
   * says when the next one is due.
   */
  constructor(store: Store, interval: number, clock: Clock) {
    this.#store = store;
    this.#interval = interval;
    this.#clock = clock;
  }

  get wanted(): boolean {
    return this.#interval > 0;
  }

  get due(): boolean {
    return this.wanted && this.#clock.steady() >= this.#next;
  }

  /** Makes the next one due at once. Called if there is a new generation. */
  hurry(): void {
    this.#next = -Infinity;
  }

  /** After a failure: the next one is due no sooner than after one. */
  postpone(): void {
    this.#next = this.#clock.steady() + Math.min(this.#interval, AFTER_FAILURE);
  }

  /** Says that everything up to `point` is in the bucket and nothing newer exists now. One try. */
  async beat(point: CapturePoint): Promise<void> {
    const seen = this.#clock.now();
    const begun = this.#clock.steady();
    this.#next = begun + Math.min(this.#interval, AFTER_FAILURE);
    const { checksum, pages, time } = point.state;
    await writeHead(this.#store, { position: point, checksum, pages, committed: time, seen });
    this.#next = begun + this.#interval;
  }
}
