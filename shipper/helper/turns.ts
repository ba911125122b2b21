/** A bounded number of turns, given in the order in which they were asked for: so nobody is served twice before all others. */
export class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(atATime: number) {
    this.#free = atATime;
  }

  /** Does `work` when it is its turn. */
  async take<T>(work: () => Promise<T>): Promise<T> {
    await this.#begin();
    try {
      return await work();
    } finally {
      this.#end();
    }
  }

  /** Lets others go first while the holder of a turn waits for something; resolves when it has a turn again. */
  async giveWay(wait: Promise<unknown>): Promise<void> {
    this.#end();
    try {
      await wait;
    } finally {
      await this.#begin();
    }
  }

  #begin(): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #end(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
