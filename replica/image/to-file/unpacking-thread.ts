/**
 * Fetches, unpacks and writes runs of blocks outside the main thread. If a run fails, for whatever reason, the main
 * thread tries again, and its error says more.
 */
import { writeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { unpackRun } from './run-unpacking.ts';
import { TicketReader } from '../../store/read-ticket.ts';
import { END, type RunAnswer, type RunRequest } from './unpacking-pool.ts';

const port = parentPort!;
const reader = new TicketReader();
/** Memory of finished runs, reused for later ones. */
const spare: Buffer[] = [];
/** Bytes that all runs but unusual ones fit into. */
const USUAL_RUN = 2 << 20;

port.on('message', (message: RunRequest | typeof END) => {
  if (message === END) {
    port.close();
    return;
  }
  const { id, source, fd } = message;
  const run = { ...message.run, patches: pagesOf(message) };
  const used = spare.pop();
  const memory =
    used !== undefined && used.length >= run.length ? used : Buffer.allocUnsafeSlow(Math.max(run.length, USUAL_RUN));
  const stored = memory.subarray(0, run.length);
  fetch(source, stored)
    .then(() => {
      const hashes = new BigUint64Array(run.pages.length);
      for (const { bytes, position } of unpackRun(run, stored, hashes)) if (fd >= 0) writeAll(fd, bytes, position);
      port.postMessage({ id, hashes } satisfies RunAnswer, [hashes.buffer]);
    })
    .catch(() => {
      port.postMessage({ id, hashes: undefined } satisfies RunAnswer);
    })
    .finally(() => spare.push(memory));
});

function pagesOf({ run, patches }: RunRequest): Uint8Array[] {
  const { pageSize } = run;
  return Array.from({ length: patches.length / pageSize }, (_, i) =>
    patches.subarray(i * pageSize, (i + 1) * pageSize),
  );
}

async function fetch(source: RunRequest['source'], into: Buffer): Promise<void> {
  if (source instanceof Uint8Array) into.set(source);
  else await reader.read(source, into);
}

function writeAll(fd: number, bytes: Buffer, position: number): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
}
