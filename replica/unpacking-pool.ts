/** Threads that unpack blocks, where the machine has processors for them; else it is done in the caller's own. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { withKey } from './errors.ts';
import { free, unpackBlock, type PackedBlock, type UnpackedBlock } from './block-unpacking.ts';

/** Decoding outruns disks and networks with few; each takes some 15 MiB. */
const MOST_THREADS = 4;
/** Threads take some 50 ms to start: as long as so many blocks take in one. */
const WORTH_BLOCKS = 48;

/** Threads that pay for a snapshot of so many blocks. The main thread has a processor's worth of fetching and writing. */
export function worthwhileThreads(blocks: number): number {
  const processors = availableParallelism();
  return blocks < WORTH_BLOCKS ? 0 : Math.min(processors - 1, MOST_THREADS);
}

interface Thread {
  readonly worker: Worker;
  readonly pending: Map<number, (unpacked: UnpackedBlock | undefined) => void>;
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

  /**
   * Unpacks a block and hands it to `use`; what it gets is valid until it has ended. Throws `corrupt` with `key`, the
   * object that the block is of.
   */
  async unpack(packed: PackedBlock, key: string, use: (unpacked: UnpackedBlock) => Promise<void>): Promise<void> {
    const elsewhere = await this.#ask(packed);
    if (elsewhere === undefined) {
      await use(unpackHere(packed, key));
      return;
    }
    await use(elsewhere);
    free(elsewhere.raw);
  }

  async #ask(packed: PackedBlock): Promise<UnpackedBlock | undefined> {
    const [first, ...others] = this.#threads;
    if (first === undefined) return undefined;
    const thread = others.reduce((least, each) => (each.pending.size < least.pending.size ? each : least), first);
    const id = ++this.#asked;
    const done = Promise.withResolvers<UnpackedBlock | undefined>();
    thread.pending.set(id, done.resolve);
    const stored = new Uint8Array(packed.stored); // a copy to give away
    thread.worker.postMessage({ id, packed: { ...packed, stored } }, [stored.buffer]);
    return done.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#threads.splice(0).map(({ worker }) => worker.terminate()));
  }

  #start(entry: string): Thread {
    const worker = new Worker(entry);
    const pending: Thread['pending'] = new Map();
    const thread = { worker, pending };
    worker.on('message', ({ id, unpacked }: { readonly id: number; readonly unpacked: UnpackedBlock | undefined }) => {
      pending.get(id)?.(unpacked);
      pending.delete(id);
    });
    // A thread that cannot start, or dies, is done without.
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

function unpackHere(packed: PackedBlock, key: string): UnpackedBlock {
  try {
    return unpackBlock(packed);
  } catch (error) {
    throw withKey(error, key);
  }
}
