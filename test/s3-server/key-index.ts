/**
 * Orders keys as S3 lists them, by the bytes of their UTF-8 form. Comparing JavaScript strings gets this wrong for
 * one range only: surrogates (U+10000 and above) must come after U+E000..U+FFFF, which the ranks below put right.
 */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return utf8Rank(x) - utf8Rank(y);
  }
  return a.length - b.length;
}

function utf8Rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000;
}

/** A map from key to value that also knows its keys in listing order. */
export class KeyIndex<V> {
  readonly #keys: string[] = [];
  readonly #values = new Map<string, V>();

  get size(): number {
    return this.#keys.length;
  }

  get(key: string): V | undefined {
    return this.#values.get(key);
  }

  set(key: string, value: V): void {
    if (!this.#values.has(key)) this.#keys.splice(this.positionOf(key), 0, key);
    this.#values.set(key, value);
  }

  delete(key: string): void {
    if (this.#values.delete(key)) this.#keys.splice(this.positionOf(key), 1);
  }

  keyAt(position: number): string | undefined {
    return this.#keys[position];
  }

  /** The position of the first key that is not before `key`. */
  positionOf(key: string): number {
    return this.#firstNot((candidate) => compareKeys(candidate, key) < 0);
  }

  /** The position of the first key after all keys that start with `prefix`. */
  positionAfterPrefix(prefix: string): number {
    return this.#firstNot((candidate) => compareKeys(candidate, prefix) < 0 || candidate.startsWith(prefix));
  }

  *values(): IterableIterator<V> {
    for (const key of this.#keys) yield this.#values.get(key)!;
  }

  #firstNot(isBefore: (key: string) => boolean): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBefore(this.#keys[middle]!)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
