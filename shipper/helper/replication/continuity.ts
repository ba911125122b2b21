/**
 * Whether what is captured continues what is in the bucket. Each new beginning is a new era, in which nothing counts
 * that was captured before.
 */
import type { LossCause } from '../../reasons.ts';
import { type ContinuityLost, losesFiles } from '../continuity-lost.ts';

export class Continuity {
  #era = 0;
  #lost: ContinuityLost | undefined;
  #regaining: ContinuityLost | undefined;
  #attempt = new AbortController();

  get era(): number {
    return this.#era;
  }

  /** How continuity was lost; undefined from the next beginning on. */
  get lost(): ContinuityLost | undefined {
    return this.#lost;
  }

  /** Why it was lost; undefined once it is regained. */
  get cause(): LossCause | undefined {
    return (this.#lost ?? this.#regaining)?.reason;
  }

  /** Aborts when continuity is lost: the work of the present era is then useless. */
  get signal(): AbortSignal {
    return this.#attempt.signal;
  }

  /** False if it was lost already. A loss of the files is told all the same: then nothing may be touched. */
  lose(lost: ContinuityLost): boolean {
    const known = this.#lost !== undefined && (losesFiles(this.#lost.reason) || !losesFiles(lost.reason));
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
