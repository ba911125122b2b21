/** How a replicator is: its state, its present problem, and the events that tell of both. */
import { SeawallError } from '../../replica/errors.ts';
import { toPlain } from '../plain-error.ts';
import type { PlainError, ShipperEvent, ShipperState } from '../protocol.ts';

export class Health {
  readonly #emit: (event: ShipperEvent) => void;
  #state: ShipperState = 'starting';
  #problem: PlainError | undefined;
  #failures = 0;

  constructor(emit: (event: ShipperEvent) => void) {
    this.#emit = emit;
  }

  get state(): ShipperState {
    return this.#state;
  }

  get problem(): PlainError | undefined {
    return this.#problem;
  }

  /** Whether nothing will be shipped any more. */
  get over(): boolean {
    return this.#state === 'fenced' || this.#state === 'failed' || this.#state === 'stopped';
  }

  enter(state: ShipperState): void {
    if (state === this.#state) return;
    const before = this.#state;
    this.#state = state;
    this.#emit({ type: 'state', state, before });
  }

  /** An operation on the store failed and will be tried again. */
  failed(error: unknown, failures: number): void {
    this.#problem = toPlain(error);
    this.#failures = failures;
    if (this.#state === 'streaming') this.enter('retrying');
    this.#emit({ type: 'problem', error: this.#problem, failures });
  }

  /** An operation on the store succeeded. */
  succeeded(): void {
    if (this.#problem === undefined) return;
    this.#problem = undefined;
    if (this.#state === 'retrying') this.enter('streaming');
    this.#emit({ type: 'recovered', failures: this.#failures });
  }

  /** Shipping ended by this error. */
  ended(error: unknown, state: 'fenced' | 'failed'): void {
    this.#problem = toPlain(error);
    this.enter(state);
    this.#emit({ type: 'problem', error: this.#problem, failures: this.#failures + 1 });
  }

  /** What those who still ask are told once it is over. */
  farewell(): SeawallError {
    const because = this.#problem === undefined ? '' : `: ${this.#problem.message}`;
    if (this.#state === 'fenced') return new SeawallError('conflict', 'FENCED', `the shipper is fenced${because}`);
    if (this.#state === 'failed') return new SeawallError('refused', 'FAILED', `the shipper has failed${because}`);
    return new SeawallError('refused', 'STOPPED', `the shipper was stopped${because}`);
  }
}
