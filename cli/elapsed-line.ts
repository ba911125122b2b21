/** A line that tells how long something has taken, for work that reports nothing on its way. */
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

  /** Takes the line off the screen; it comes back with the next second. */
  erase(): void {
    if (this.#visible) this.#stream.write(ERASE);
    this.#visible = false;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.erase();
  }
}
