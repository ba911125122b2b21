/** How a replicator is: its state, its present problems, and the events about both. */
import type { SeawallError } from '../../../replica/terms/errors.ts';
import { closedError } from '../../closed-error.ts';
import { toPlain } from '../../plain-error.ts';
import type { PlainError, ShipperEvent, ShipperState } from '../../protocol.ts';
import type { Blocker } from '../../reasons.ts';

/** What can fail: the store takes nothing, or the database cannot be followed. Both are retried forever. */
export type Part = 'store' | 'database';

interface Problem {
  readonly error: PlainError;
  readonly failures: number;
  /** Of the first failure in this row, milliseconds since 1970. */
  readonly since: number;
}

export class Health {
  readonly #emit: (event: ShipperEvent) => void;
  readonly #now: () => number;
  /** The state if nothing is in the way. */
  #work: ShipperState = 'starting';
  #told: ShipperState = 'starting';
  #ended: PlainError | undefined;
  #endedAt: number | undefined;
  readonly #problems: Record<Part, Problem | undefined> = { store: undefined, database: undefined };
  #blockedBy: Blocker | undefined;

  constructor(emit: (event: ShipperEvent) => void, now: () => number) {
    this.#emit = emit;
    this.#now = now;
  }

  get state(): ShipperState {
    if (this.over || this.#work === 'starting') return this.#work;
    if (this.#problems.database !== undefined) return 'waiting';
    return this.#problems.store === undefined ? this.#work : 'retrying';
  }

  get problem(): PlainError | undefined {
    return this.#ended ?? this.#problems.database?.error ?? this.#problems.store?.error;
  }

  /** Since when the present problem lasts, milliseconds since 1970. */
  get problemSince(): number | undefined {
    return this.#endedAt ?? this.#problems.database?.since ?? this.#problems.store?.since;
  }

  /** Whether shipping has ended for good. */
  get over(): boolean {
    return this.#work === 'fenced' || this.#work === 'failed' || this.#work === 'stopped';
  }

  enter(state: ShipperState): void {
    this.#work = state;
    this.#tellState();
  }

  /** A part failed for the `failures`th time in a row, and will be tried again. */
  failed(part: Part, error: unknown, failures: number): void {
    const plain = toPlain(error);
    this.#problems[part] = { error: plain, failures, since: this.#problems[part]?.since ?? this.#now() };
    this.#tellState();
    this.#emit({ type: 'problem', error: plain, failures });
  }

  succeeded(part: Part): void {
    const problem = this.#problems[part];
    if (problem === undefined) return;
    this.#problems[part] = undefined;
    this.#tellState();
    this.#emit({ type: 'recovered', failures: problem.failures });
  }

  /** What keeps a snapshot from beginning; undefined if none is waited for. */
  get blockedBy(): Blocker | undefined {
    return this.#blockedBy;
  }

  readonly blocked = (by: Blocker | undefined): void => {
    if (by !== undefined && by !== this.#blockedBy) this.#emit({ type: 'blocked', by });
    this.#blockedBy = by;
  };

  /** How often a part has failed in a row by now. */
  failures(part: Part): number {
    return this.#problems[part]?.failures ?? 0;
  }

  /** Shipping ended by this error. */
  ended(error: unknown, state: 'fenced' | 'failed'): void {
    this.#ended = toPlain(error);
    this.#endedAt = this.#now();
    this.enter(state);
    this.#emit({ type: 'problem', error: this.#ended, failures: this.failures('store') + 1 });
  }

  /** The error for every call after the end. */
  farewell(): SeawallError {
    return closedError(this.#work, this.problem);
  }

  #tellState(): void {
    const before = this.#told;
    const { state } = this;
    if (state === before) return;
    this.#told = state;
    this.#emit({ type: 'state', state, before });
  }
}
