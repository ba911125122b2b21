/** The stores of all databases of the helper: those in one bucket share its client, its sockets and its turns. */
import { bucketOf, openStore } from '../../replica/store/open.ts';
import { scoped } from '../../replica/store/scoped.ts';
import type { Store } from '../../replica/store/store.ts';
import { Turns } from './turns.ts';

/** Writes into one bucket at a time, and databases that are hashed, compared or uploaded whole. */
const PUTS = 8;
const WHOLE = 4;

export interface OpenedStore {
  readonly store: Store;
  /** For reading a database as a whole: resuming, a snapshot, a restore. */
  readonly whole: Turns;
}

interface Shared {
  readonly store: Promise<Store>;
  readonly puts: Turns;
  readonly whole: Turns;
  users: number;
}

export class Stores {
  readonly #buckets = new Map<string, Shared>();
  /** Folders share the machine's disks. */
  readonly #folders = { puts: new Turns(PUTS), whole: new Turns(WHOLE) };

  /** `signal` ends what waits for its turn. Closing the store frees the bucket after its last user. */
  async open(url: string, signal: AbortSignal): Promise<OpenedStore> {
    const bucket = bucketOf(url);
    if (bucket === undefined) {
      const store = await openStore(url);
      const { puts, whole } = this.#folders;
      return { store: inTurns(scoped(store, ''), puts, signal, () => store.close()), whole };
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
      return { store: inTurns(view, shared.puts, signal, leave), whole: shared.whole };
    } catch (error) {
      await leave().catch(() => undefined); // the first failure is the one to tell
      throw error;
    }
  }

  #share(url: string): Shared {
    const known = this.#buckets.get(url);
    if (known !== undefined) return known;
    const made = { store: openStore(url), puts: new Turns(PUTS), whole: new Turns(WHOLE), users: 0 };
    this.#buckets.set(url, made);
    return made;
  }
}

/** Each database has one segment on its way at most, so a loud one waits for all others that have something to send. */
function inTurns(view: Store, puts: Turns, signal: AbortSignal, leave: () => Promise<void>): Store {
  return {
    ...view,
    put: (key, body, condition) => puts.take(signal, () => view.put(key, body, condition)),
    close: async () => {
      await view.close();
      await leave();
    },
  };
}
