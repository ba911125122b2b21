/**
 * The helper's share of a busy processor: if app and helper want it at once, the app gets some three quarters. If
 * another processor is idle, nothing changes. Shipping an app at full speed takes a processor of its own: packing,
 * checking and hashing do some 150 to 200 MB of WAL a second.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** Weighs a third of the default in Linux's scheduler (https://man7.org/linux/man-pages/man7/sched.7.html). */
const NICE = 5;

/**
 * Lowers the helper's priority. Call it early: later threads inherit it. Never fails; what the system forbids stays as
 * it is.
 */
export function giveWayToTheApp(): void {
  for (const thread of threads()) {
    quietly(() => {
      setPriority(thread, NICE);
    });
  }
  // Linux schedules a session as a group. Niceness counts within the group only, so the group gets its own.
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
    // No such file, or not allowed. The helper then has the priority of the app.
  }
}
