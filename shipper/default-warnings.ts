/** What an app hears of a failing backup if it listens to nothing: a warning of the process, seldom repeated. */
import { SYSTEM_CLOCK, type Clock } from './clock.ts';
import type { ShipperEvent } from './protocol.ts';

/** The same problem is told again after so long, milliseconds. */
const REPEAT = 600_000;

export class DefaultWarnings {
  readonly #clock: Clock;
  readonly #warn: (message: string, code: string) => void;
  readonly #told = new Map<string, number>();

  /** `warn` writes one warning; by default `process.emitWarning` does, with the type SeawallWarning. */
  constructor(clock: Clock = SYSTEM_CLOCK, warn = emitWarning) {
    this.#clock = clock;
    this.#warn = warn;
  }

  /** Warns of a problem that nobody listens for. Other events say nothing. */
  hear(event: ShipperEvent, database: string): void {
    if (event.type !== 'problem') return;
    const { code, message } = event.error;
    const now = this.#clock.steady();
    const before = this.#told.get(`${database} ${code}`);
    if (before !== undefined && now - before < REPEAT) return;
    this.#told.set(`${database} ${code}`, now);
    this.#warn(`the backup of ${database} is failing: ${message}`, code);
  }
}

function emitWarning(message: string, code: string): void {
  process.emitWarning(message, { type: 'SeawallWarning', code: `SEAWALL_${code}` });
}
