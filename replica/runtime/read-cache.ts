/** A cache of what was read last, within a budget of bytes. Simultaneous readers of one piece share one read. */
export class ReadCache {
  readonly #budget: number;
  /** Least recently used first. */
  readonly #held = new Map<string, { readonly piece: Promise<Buffer>; readonly bytes: number }>();
  #bytes = 0;

  /** @param budget bytes; a single piece that is larger is held, too */
  constructor(budget: number) {
    this.#budget = budget;
  }

  /** The piece of that name, of `bytes` bytes, read by `load` if it is not held. A failure is not remembered. */
  get(name: string, bytes: number, load: () => Promise<Buffer>): Promise<Buffer> {
    const found = this.#held.get(name);
    if (found !== undefined) {
      this.#held.delete(name);
      this.#held.set(name, found);
      return found.piece;
    }
    const piece = load();
    this.#hold(name, { piece, bytes });
    piece.catch(() => {
      if (this.#held.get(name)?.piece === piece) this.#drop(name);
    });
    return piece;
  }

  put(name: string, piece: Buffer): void {
    this.#hold(name, { piece: Promise.resolve(piece), bytes: piece.length });
  }

  clear(): void {
    this.#held.clear();
    this.#bytes = 0;
  }

  #hold(name: string, entry: { readonly piece: Promise<Buffer>; readonly bytes: number }): void {
    this.#drop(name);
    this.#held.set(name, entry);
    this.#bytes += entry.bytes;
    for (const oldest of this.#held.keys()) {
      if (this.#bytes <= this.#budget || oldest === name) break;
      this.#drop(oldest);
    }
  }

  #drop(name: string): void {
    this.#bytes -= this.#held.get(name)?.bytes ?? 0;
    this.#held.delete(name);
  }
}
