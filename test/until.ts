/** How tests wait for what they need to see: by looking again and again, with one patience for all of them. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds after which something that is waited for will not come any more, however slow the machine is. */
export const PATIENCE = 100_000;

/** Asks again and again until it is so. Throws once patience has ended. */
export async function until(done: () => boolean | Promise<boolean>, limit = PATIENCE): Promise<void> {
  const end = performance.now() + limit;
  while (!(await done())) {
    if (performance.now() > end) throw new Error(`not within ${limit} ms: ${done.toString()}`);
    await sleep(10);
  }
}
