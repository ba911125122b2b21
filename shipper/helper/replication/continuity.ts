/**
 * Whether what is captured continues what is in the bucket. Each time that this begins anew there is another era, in
 * which everything captured before counts for nothing.
 */
import type { LossCause } from '../../reasons.ts';
import type { ContinuityLost } from '../continuity-lost.ts';

export class Continuity {
  #era = 0;
  #lost: ContinuityLost | undefined;
  #regaining: ContinuityLost | undefined;
  #attempt = new AbortController();

  get era(): number {
    return this.#era;
  }

  /** How it was lost; undefined from the next beginning on. */
  get lost(): ContinuityLost | undefined {
    return this.#lost;
  }

  /** The same, until it is regained. */
  get cause(): LossCause | undefined {
    return (this.#lost ?? this.#regaining)?.reason;
  }

  /** Ends with the present era: what goes on under it is in vain once continuity is lost. */
  get signal(): AbortSignal {
    return this.#attempt.signal;
  }

  /** False when it was lost already. That the database was replaced is told all the same: then nothing may be touched. */
  lose(lost: ContinuityLost): boolean {
    const known = lost.reason === 'database-replaced' ? this.#lost?.reason === lost.reason : this.#lost !== undefined;
    if (known) return false;
    this.#lost = lost;
    this.#attempt.abort(lost);
    return true;
  }

  begin(): void {
    this.#era++;
    this.#regaining = this.#lost ?? this.#regaining;
    this.#lost = undefined;
    this.#attempt = new AbortController();
  }

  regained(): void {
    this.#regaining = undefined;
  }

  end(reason: unknown): void {
    this.#attempt.abort(reason);
  }
}
