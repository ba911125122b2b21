/** Restores one replica in a process of its own, and prints the outcome: node restore-once.ts <url> <path> */
import { readFileSync } from 'node:fs';
// The built package, as installed: run from source, the process would also hold the type stripper.
import { openStore, restore } from 'seawall/replica';

export interface RestoredOnce {
  readonly milliseconds: number;
  readonly bytes: number;
  /** Highest resident memory, bytes. */
  readonly peak: number;
}

const [url = '', path = ''] = process.argv.slice(2);
const store = await openStore(url);
const began = performance.now();
const { bytes } = await restore(store, path);
const milliseconds = performance.now() - began;
const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'latin1'))![1]) * 1024;
process.stdout.write(JSON.stringify({ milliseconds, bytes, peak } satisfies RestoredOnce));
await store.close();
