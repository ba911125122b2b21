/**
 * Runs `work` on every item, at most `most` at a time, in the order of the items. `lane`, from 0 to `most` − 1, is unique
 * among the calls that run at the same time, so each lane can have memory of its own. After a failure no further item
 * begins; the failure is thrown after all work has ended, so nothing is left running.
 */
export async function forEachConcurrent<T>(
  items: Iterable<T>,
  most: number,
  work: (item: T, lane: number) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  let failed = false;
  const run = async (lane: number): Promise<void> => {
    try {
      for (let next = iterator.next(); next.done !== true && !failed; next = iterator.next()) {
        await work(next.value, lane);
      }
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: most }, (_, lane) => run(lane)));
  for (const each of ended) if (each.status === 'rejected') throw each.reason;
}
