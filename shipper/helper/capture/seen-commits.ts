/** When the looks at the WAL saw its committed end move. From that, capture dates the commits of a segment. */

/** Looks remembered between two captures; of more than that, every other one is forgotten. */
const MOST_LOOKS = 8192;

export interface SeenCommit {
  /** The end of the last commit at `time`. */
  readonly offset: number;
  /** Milliseconds since 1970. */
  readonly time: number;
}

export class SeenCommits {
  #looks: SeenCommit[] = [];

  /** In ascending order. */
  get looks(): readonly SeenCommit[] {
    return this.#looks;
  }

  /** The last committed end that was seen and is not captured; undefined if there is none. */
  get end(): number | undefined {
    return this.#looks.at(-1)?.offset;
  }

  add(offset: number, time: number): void {
    this.#looks.push({ offset, time });
    const last = this.#looks.length - 1;
    if (last >= MOST_LOOKS) this.#looks = this.#looks.filter((_, i) => (last - i) % 2 === 0);
  }

  /** Everything up to `offset` is captured. */
  captured(offset: number): void {
    this.#looks = this.#looks.filter((look) => look.offset > offset);
  }

  clear(): void {
    this.#looks = [];
  }
}
