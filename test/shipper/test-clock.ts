/** A clock that a test sets. Both of its times stand still until they are moved. */
import type { Clock } from '../../shipper/clock.ts';

export class TestClock implements Clock {
  #wall = Date.UTC(2026, 2, 1);
  #steady = 0;

  readonly now = (): number => this.#wall;
  readonly steady = (): number => this.#steady;

  /** So many milliseconds pass, on both clocks. */
  pass(milliseconds: number): void {
    this.#wall += milliseconds;
    this.#steady += milliseconds;
  }

  /** Someone sets the wall clock. */
  set(milliseconds: number): void {
    this.#wall += milliseconds;
  }
}
