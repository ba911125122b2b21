/** A store whose user is killed: after so many operations nothing it does has an effect, cleaning up included. */
import type { Store, Upload } from '../../replica/store/store.ts';

export class Killed extends Error {
  override readonly name = 'Killed';
}

/** @param operations how many are still carried out */
export function dyingStore(store: Store, operations: number): Store {
  let left = operations;
  const step = async <T>(work: () => Promise<T>): Promise<T> => {
    if (left-- <= 0) throw new Killed('killed');
    return work();
  };
  async function* each<T>(source: () => AsyncIterable<T>): AsyncGenerator<T> {
    await step(() => Promise.resolve());
    for await (const item of source()) {
      yield item;
      if (left <= 0) throw new Killed('killed');
    }
  }
  const uploadOf = (upload: Upload): Upload => ({
    key: upload.key,
    put: (part, at, body) => step(() => upload.put(part, at, body)),
    copy: (part, at, source, range, etag) => step(() => upload.copy(part, at, source, range, etag)),
    complete: (condition) => step(() => upload.complete(condition)),
    abort: () => step(() => upload.abort()),
  });
  return {
    url: store.url,
    limits: store.limits,
    head: (key) => step(() => store.head(key)),
    get: (key, range) => step(() => store.get(key, range)),
    stream: (key, range) => each(() => store.stream(key, range)),
    list: (prefix, after) => each(() => store.list(prefix, after)),
    folders: (prefix) => each(() => store.folders(prefix)),
    put: (key, body, condition) => step(() => store.put(key, body, condition)),
    upload: (key) => step(async () => uploadOf(await store.upload(key))),
    delete: (keys) => step(() => store.delete(keys)),
    probeConditions: (probeKey) => step(() => store.probeConditions(probeKey)),
    unfinished: (prefix) => each(() => store.unfinished(prefix)),
    close: () => store.close(),
  };
}
