/** Continuity with the live WAL is lost; carries the reason under which a new generation is started. */
export class ContinuityLost extends Error {
  override readonly name = 'ContinuityLost';
  readonly reason: string;
  constructor(reason: string, detail: string) {
    super(`${reason}: ${detail}`);
    this.reason = reason;
  }
}
