/** Compacts one replica in a process of its own, and prints the outcome: node compact-once.ts <url> */
import { readFileSync } from 'node:fs';
// The built package, as installed: run from source, the process would also hold the type stripper.
import { compact, openStore } from 'seawall/replica';

export interface Compacted {
  readonly milliseconds: number;
  /** Highest resident memory, bytes. */
  readonly peak: number;
}

const store = await openStore(process.argv[2]!);
const began = performance.now();
const outcome = await compact(store, { policy: 'always', now: Date.now() });
const milliseconds = performance.now() - began;
if (outcome.kind === 'skipped') throw new Error(`not compacted: ${outcome.why}`);
const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'latin1'))![1]) * 1024;
process.stdout.write(JSON.stringify({ milliseconds, peak } satisfies Compacted));
await store.close();
