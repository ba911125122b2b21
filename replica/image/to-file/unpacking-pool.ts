/** Threads that fetch, unpack and write runs of blocks, if the machine has processors for them. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { PackedRun } from './run-unpacking.ts';
import type { ReadTicket } from '../../store/read-ticket.ts';

/** Two are as fast as most disks and networks; each takes some 50 MiB. */
const MOST_THREADS = 3;
/** Runs under way in each thread, so that fetching hides the latency. */
const RUNS_IN_THREAD = 4;
/** Threads take some 50 ms to start, as long as one thread needs for so many blocks. */
const WORTH_BLOCKS = 48;

/** How many threads pay for a snapshot of so many blocks. */
export function worthwhileThreads(blocks: number): number {
  const processors = availableParallelism();
  // The main thread needs a processor of its own, and machines with few processors have little memory.
  return blocks < WORTH_BLOCKS ? 0 : Math.min(processors - 1, MOST_THREADS);
}

/** Sent to a thread that has done its work. */
export const END = 'end';
/** Milliseconds that a thread may take to finish its work before it is terminated. */
const MOST_TO_END = 5000;

export interface RunRequest {
  readonly id: number;
  readonly run: Omit<PackedRun, 'patches'>;
  /** All patches, one after the other. */
  readonly patches: Uint8Array<ArrayBuffer>;
  /** The stored bytes, or where they are. */
  readonly source: ReadTicket | Uint8Array;
  /** The file to write to; negative for nowhere. */
  readonly fd: number;
}

export interface RunAnswer {
  readonly id: number;
  /** One for each page of the run; undefined if the run failed. */
  readonly hashes: BigUint64Array<ArrayBuffer> | undefined;
}

interface Thread {
  readonly worker: Worker;
  /** True as soon as it has answered once. */
  started: boolean;
  readonly pending: Map<number, (hashes: BigUint64Array | undefined) => void>;
}

export class UnpackingPool implements AsyncDisposable {
  readonly #threads: Thread[] = [];
  #asked = 0;

  constructor(threads: number) {
    // The thread's module stands beside this one, as source or as built. A bundle has none.
    const entry = fileURLToPath(new URL(`./unpacking-thread${extname(import.meta.url)}`, import.meta.url));
    if (threads > 0 && existsSync(entry)) {
      for (let i = 0; i < threads; i++) this.#threads.push(this.#start(entry));
    }
  }

  /** How many runs it takes at a time; 0 without threads. */
  get lanes(): number {
    return this.#threads.length * RUNS_IN_THREAD;
  }

  /**
   * Writes a run into a file, and returns the hashes of the run's pages. Returns undefined if that failed or there is no
   * thread; pages of the run may then have been written, and must be written again.
   */
  async unpack(run: PackedRun, source: RunRequest['source'], fd: number): Promise<BigUint64Array | undefined> {
    const [first, ...others] = this.#threads;
    if (first === undefined) return undefined;
    const thread = others.reduce((least, each) => (each.pending.size < least.pending.size ? each : least), first);
    const id = ++this.#asked;
    const done = Promise.withResolvers<BigUint64Array | undefined>();
    thread.pending.set(id, done.resolve);
    const { patches: pages, ...rest } = run;
    const patches = joined(pages, run.pageSize);
    thread.worker.postMessage({ id, run: rest, patches, source, fd } satisfies RunRequest, [patches.buffer]);
    return done.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#threads.splice(0).map((thread) => end(thread)));
  }

  #start(entry: string): Thread {
    const worker = new Worker(entry, { resourceLimits: { maxYoungGenerationSizeMb: 4 } });
    const pending: Thread['pending'] = new Map();
    const thread = { worker, pending, started: false };
    worker.on('message', ({ id, hashes }: RunAnswer) => {
      thread.started = true;
      pending.get(id)?.(hashes);
      pending.delete(id);
    });
    // If a thread cannot start, or dies, the work goes on without it.
    const gone = (): void => {
      const at = this.#threads.indexOf(thread);
      if (at >= 0) this.#threads.splice(at, 1);
      for (const settle of pending.values()) settle(undefined);
      pending.clear();
    };
    worker.on('error', gone);
    worker.on('exit', gone);
    return thread;
  }
}

/** Copies the pages into memory of their own, which can be transferred. */
function joined(pages: readonly Uint8Array[], pageSize: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pages.length * pageSize);
  pages.forEach((page, i) => {
    bytes.set(page, i * pageSize);
  });
  return bytes;
}

/**
 * Lets a thread end by itself, because terminating it while it starts or reads can crash the process. A thread that has
 * nothing left to do is not waited for.
 */
async function end({ worker, pending, started }: Thread): Promise<void> {
  const gone = new Promise((resolve) => worker.once('exit', resolve));
  worker.postMessage(END);
  if (started && pending.size === 0) {
    worker.unref();
    return;
  }
  const enough = setTimeout(() => void worker.terminate(), MOST_TO_END);
  await gone;
  clearTimeout(enough);
}
