/** How far the writing of a past state is, as its caller is told. */
export class WriteProgress {
  /** Bytes in all; undefined while that is not known. */
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
