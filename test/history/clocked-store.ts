/** A memory store whose objects have the time of a clock that the test sets. */
import { memoryStore, type MemoryStore } from '../../replica/store/memory.ts';
import type { ObjectInfo, Store } from '../../replica/store/store.ts';

export interface ClockedStore extends Store {
  /** Milliseconds since 1970: the time of objects written from now on. */
  now: number;
  /** An independent copy with the same objects and stamps. */
  copy(): Promise<ClockedStore>;
  keys(): Promise<string[]>;
}

export function clockedStore(memory: MemoryStore = memoryStore(), stamps = new Map<string, number>()): ClockedStore {
  const stamped = <T extends { readonly lastModified: number }>(key: string, of: T): T => ({
    ...of,
    lastModified: stamps.get(key) ?? of.lastModified,
  });
  const store: ClockedStore = {
    ...memory,
    now: Date.UTC(2026, 0, 1),
    async head(key) {
      const found = await memory.head(key);
      return found && stamped(key, found);
    },
    async get(key, range) {
      return stamped(key, await memory.get(key, range));
    },
    async *list(prefix, after): AsyncGenerator<ObjectInfo> {
      for await (const info of memory.list(prefix, after)) yield stamped(info.key, info);
    },
    async put(key, body, condition) {
      const result = await memory.put(key, body, condition);
      stamps.set(key, store.now);
      return result;
    },
    async upload(key) {
      const upload = await memory.upload(key);
      return {
        ...upload,
        async complete(condition) {
          const result = await upload.complete(condition);
          stamps.set(key, store.now);
          return result;
        },
      };
    },
    async copy() {
      const other = memoryStore();
      for await (const { key } of memory.list('')) await other.put(key, (await memory.get(key)).body);
      const copied = clockedStore(other, new Map(stamps));
      copied.now = store.now;
      return copied;
    },
    async keys() {
      const keys: string[] = [];
      for await (const { key } of memory.list('')) keys.push(key);
      return keys;
    },
  };
  return store;
}
