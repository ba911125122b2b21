/** Tells the caller how far the writing of a past state is. */
export class WriteProgress {
  /** Bytes in all; undefined until that is known. */
  total: number | undefined;
  readonly #tell: ((done: number, total: number | undefined) => void) | undefined;
  #done = 0;

  constructor(tell: ((done: number, total: number | undefined) => void) | undefined) {
    this.#tell = tell;
  }

  add(bytes: number): void {
    this.#done += bytes;
    const { total } = this;
    this.#tell?.(total === undefined ? this.#done : Math.min(this.#done, total), total);
  }
}
