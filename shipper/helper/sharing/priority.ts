/**
 * The helper's share of a busy processor: where app and helper want it at once, the app gets some three quarters. With
 * an idle processor to be had, nothing changes. Shipping an app at full speed takes a processor of its own: packing,
 * checking and hashing do some 150 to 200 MB of WAL a second.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** Weighs a third of the default in Linux's scheduler (https://man7.org/linux/man-pages/man7/sched.7.html). */
const NICE = 5;

/** Call it before there is much to do: threads that begin later take it over. What the system forbids stays as it is. */
export function giveWayToTheApp(): void {
  for (const thread of threads()) {
    quietly(() => {
      setPriority(thread, NICE);
    });
  }
  // A process in a session of its own is scheduled as a group of its own, in which niceness counts for nothing.
  quietly(() => {
    writeFileSync('/proc/self/autogroup', String(NICE), { flag: 'r+' });
  });
}

/** Niceness is a thread's on Linux, and the process's elsewhere. */
function threads(): number[] {
  try {
    return readdirSync('/proc/self/task').map(Number);
  } catch {
    return [process.pid];
  }
}

function quietly(act: () => void): void {
  try {
    act();
  } catch {
    // No such file, or not allowed: then the helper is as important as the app.
  }
}
