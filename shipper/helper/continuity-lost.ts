import type { LossCause } from '../reasons.ts';

/**
 * The WAL no longer continues what was captured; `reason` says why. The shipper begins again, by a difference if it
 * can.
 */
export class ContinuityLost extends Error {
  override readonly name = 'ContinuityLost';
  readonly reason: LossCause;
  constructor(reason: LossCause, detail: string) {
    super(`${reason}: ${detail}`);
    this.reason = reason;
  }
}
