/** Bounds the work under way by weight: unless nothing else runs, an item begins only if the weights stay within `most`. */
export interface WeightLimit<T> {
  readonly weigh: (item: T) => number;
  readonly most: number;
}

/**
 * Runs `work` on items ahead of the consumer, at most `ahead` at a time, and yields the results in order. If the consumer
 * stops early or a piece of work fails, it waits for the work under way, so nothing is left running.
 */
export async function* mapOrdered<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  ahead: number,
  work: (item: T) => Promise<R>,
  limit: WeightLimit<T> = { weigh: () => 0, most: 0 },
): AsyncGenerator<R> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  const running: { readonly result: Promise<R>; readonly weight: number }[] = [];
  let weights = 0;
  let next = await iterator.next();
  try {
    for (;;) {
      while (next.done !== true && running.length < ahead) {
        const weight = limit.weigh(next.value);
        if (running.length > 0 && weights + weight > limit.most) break;
        const result = work(next.value);
        result.catch(() => undefined); // observed below, or no longer of interest
        running.push({ result, weight });
        weights += weight;
        next = await iterator.next();
      }
      const first = running.shift();
      if (first === undefined) return;
      weights -= first.weight;
      yield await first.result;
    }
  } finally {
    await iterator.return?.();
    await Promise.allSettled(running.map(({ result }) => result));
  }
}
