/**
 * Keeps one helper process running for as long as anything is to be shipped: starts it for the first shipment, ends it
 * after the last, and starts another when it ends unexpectedly, after 0.1 to 30 s. Only the end of the process counts:
 * a helper that hangs or is slow still holds its locks, so it is waited for.
 */
import { backoffDelay } from '../replica/runtime/retry.ts';
import { SYSTEM_CLOCK, type Clock } from './clock.ts';
import { HelperEnded, HelperProcess } from './helper-process.ts';
import type { Request, ShipperEvent } from './protocol.ts';

/** Pauses before the next helper; they grow with each one that ends. */
const BACKOFF = { baseMs: 100, capMs: 30_000 };
/** If a helper ran this long, its end counts as a first failure again, in milliseconds. */
const RAN_WELL = 60_000;

/** What is shipped by the helper, as the supervisor sees it. */
export interface HelperClient {
  hear(event: ShipperEvent): void;
  /** The helper ended unexpectedly, the `attempt`th time in a row; the next one starts in `delay` milliseconds. */
  helperEnded(error: HelperEnded, attempt: number, delay: number): void;
  /** There is a new helper, which knows nothing of this shipment yet. */
  helperStarted(): void;
}

export class HelperSupervisor {
  readonly #clock: Clock;
  readonly #shipments = new Map<number, HelperClient>();
  #process: HelperProcess | undefined;
  #added = 0;
  #failures = 0;
  #startedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #waiting = 0;

  constructor(clock: Clock = SYSTEM_CLOCK) {
    this.#clock = clock;
  }

  /** Process id of the helper, while there is one. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Adds a shipment, and starts a helper if none runs and none is about to. Returns the shipment's number. */
  add(shipment: HelperClient): number {
    const number = ++this.#added;
    if (this.#process === undefined && this.#timer === undefined) this.#start();
    this.#shipments.set(number, shipment);
    return number;
  }

  /** Removes a shipment. After the last one the helper ends. Resolves when it is gone. */
  async leave(number: number): Promise<void> {
    if (!this.#shipments.delete(number) || this.#shipments.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#failures = 0;
    const process = this.#process;
    this.#process = undefined;
    await process?.end();
  }

  /** Sends the helper a request. Rejects with {@link HelperEnded} if it ends before it answers, or if there is none. */
  ask(number: number, request: Request): Promise<unknown> {
    return this.#process?.ask(number, request) ?? Promise.reject(new HelperEnded('is not running'));
  }

  /** Starts the next helper now instead of later. */
  hurry(): void {
    if (this.#timer !== undefined) this.#restart();
  }

  /** Keeps the app running while `work` waits for the next helper. */
  async alive<T>(work: Promise<T>): Promise<T> {
    this.#waiting++;
    this.#timer?.ref();
    try {
      return await work;
    } finally {
      if (--this.#waiting === 0) this.#timer?.unref();
    }
  }

  #start(): void {
    this.#startedAt = this.#clock.steady();
    const process: HelperProcess = new HelperProcess(
      (number, event) => this.#shipments.get(number)?.hear(event),
      (error) => {
        if (this.#process === process) this.#ended(error);
      },
    );
    this.#process = process;
  }

  #ended(error: HelperEnded): void {
    this.#process = undefined;
    if (this.#clock.steady() - this.#startedAt >= RAN_WELL) this.#failures = 0;
    const attempt = ++this.#failures;
    const delay = Math.round(backoffDelay(attempt, BACKOFF, Math.random));
    this.#timer = setTimeout(() => {
      this.#restart();
    }, delay);
    if (this.#waiting === 0) this.#timer.unref();
    for (const shipment of [...this.#shipments.values()]) shipment.helperEnded(error, attempt, delay);
  }

  #restart(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    try {
      this.#start();
    } catch (error) {
      this.#ended(new HelperEnded(`could not be started: ${error instanceof Error ? error.message : String(error)}`));
      return;
    }
    for (const shipment of [...this.#shipments.values()]) shipment.helperStarted();
  }
}
