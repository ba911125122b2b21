/** The stores of all databases of the helper. Those in one bucket share its client, its sockets and its turns. */
import { bucketOf, openStore } from '../../../replica/store/open.ts';
import { scoped } from '../../../replica/store/scoped.ts';
import type { Store } from '../../../replica/store/store.ts';
import { FairSemaphore } from './fair-semaphore.ts';

/** Concurrent writes into one bucket, and concurrent reads of a whole database: to hash, compare or upload it. */
const PUTS = 8;
const WHOLE = 4;

export interface OpenedStore {
  readonly store: Store;
  /** Turns for reading a database as a whole: to resume, to make a snapshot, to restore. */
  readonly wholeReads: FairSemaphore;
}

interface Shared {
  readonly store: Promise<Store>;
  readonly puts: FairSemaphore;
  readonly wholeReads: FairSemaphore;
  users: number;
}

export class Stores {
  readonly #buckets = new Map<string, Shared>();
  /** Folders share the machine's disks. */
  readonly #folders = { puts: new FairSemaphore(PUTS), wholeReads: new FairSemaphore(WHOLE) };

  /** `signal` ends writes that wait for a turn. The last store of a bucket to close closes the bucket's client. */
  async open(url: string, signal: AbortSignal): Promise<OpenedStore> {
    const bucket = bucketOf(url);
    if (bucket === undefined) {
      const store = await openStore(url);
      const { puts, wholeReads } = this.#folders;
      return { store: inTurns(scoped(store, ''), puts, signal, () => store.close()), wholeReads };
    }
    const shared = this.#share(bucket.url);
    shared.users++;
    const leave = async (): Promise<void> => {
      if (--shared.users > 0) return;
      this.#buckets.delete(bucket.url);
      await (await shared.store).close();
    };
    try {
      const view = scoped(await shared.store, bucket.prefix);
      return { store: inTurns(view, shared.puts, signal, leave), wholeReads: shared.wholeReads };
    } catch (error) {
      await leave().catch(() => undefined); // the first failure is the one to report
      throw error;
    }
  }

  #share(url: string): Shared {
    const known = this.#buckets.get(url);
    if (known !== undefined) return known;
    const made = {
      store: openStore(url),
      puts: new FairSemaphore(PUTS),
      wholeReads: new FairSemaphore(WHOLE),
      users: 0,
    };
    this.#buckets.set(url, made);
    return made;
  }
}

/** A database uploads one segment at a time, so a busy one waits for all others that have something to send. */
function inTurns(view: Store, puts: FairSemaphore, signal: AbortSignal, leave: () => Promise<void>): Store {
  return {
    ...view,
    put: (key, body, condition) => puts.run(signal, () => view.put(key, body, condition)),
    close: async () => {
      await view.close();
      await leave();
    },
  };
}
