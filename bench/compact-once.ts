/** Compacts one replica in a process of its own, and answers how it went: node compact-once.ts <url> */
import { readFileSync } from 'node:fs';
// As it is installed: from source, it would also hold what strips types.
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
