/**
 * Runs one operation of the built package in a process of its own and prints its peak memory:
 * run-operation.mjs <restore|compact> <replica> [<file>]
 */
import { compact, formatChecksum, openStore, restore } from 'seawall/replica';

const [operation = '', replica = '', file = ''] = process.argv.slice(2);
const store = await openStore(replica);
const from = performance.now();
let checksum = '';
if (operation === 'restore') checksum = formatChecksum((await restore(store, file)).checksum);
else {
  const outcome = await compact(store, { policy: 'always', now: Date.now() });
  if (outcome.kind !== 'compacted') throw new Error(`skipped: ${outcome.why}`);
  checksum = formatChecksum(outcome.checksum);
}
const peak = process.resourceUsage().maxRSS * 1024;
process.stdout.write(JSON.stringify({ checksum, peak, seconds: (performance.now() - from) / 1000 }));
