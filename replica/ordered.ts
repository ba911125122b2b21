/**
 * Runs `work` on items ahead of the consumer, at most `ahead` at a time, and yields the results in order. When the
 * consumer stops early or a piece of work fails, nothing is left running unobserved.
 */
export async function* mapOrdered<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  ahead: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  const running: Promise<R>[] = [];
  let exhausted = false;
  try {
    for (;;) {
      while (!exhausted && running.length < ahead) {
        const next = await iterator.next();
        if (next.done === true) exhausted = true;
        else {
          const started = work(next.value);
          started.catch(() => undefined); // observed below, or no longer of interest
          running.push(started);
        }
      }
      const first = running.shift();
      if (first === undefined) return;
      yield await first;
    }
  } finally {
    await iterator.return?.();
    await Promise.allSettled(running);
  }
}
