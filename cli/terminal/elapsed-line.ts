/** A line that shows how long something has taken, for work that reports no progress. */
import { clock, ERASE, type BarStream } from './progress-bar.ts';

/** Milliseconds. */
const REDRAW = 1000;

export class ElapsedLine implements Disposable {
  readonly #stream: BarStream;
  readonly #timer: NodeJS.Timeout;
  #visible = false;

  constructor(stream: BarStream, label: string, now: () => number) {
    this.#stream = stream;
    const began = now();
    this.#timer = setInterval(() => {
      this.#stream.write(`${ERASE}${label}  ${clock(Math.round((now() - began) / 1000))}`);
      this.#visible = true;
    }, REDRAW);
  }

  /** Takes the line off the screen; the next second draws it again. */
  erase(): void {
    if (this.#visible) this.#stream.write(ERASE);
    this.#visible = false;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.erase();
  }
}
