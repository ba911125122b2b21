/**
 * A store that can be stopped, for work that must end in time. After the signal every read fails with the signal's reason,
 * also those under way, and no write begins. Writes under way finish, so that their outcome is known. Uploads can still be
 * aborted, so the stopped work cleans up as after any other failure.
 */
import type { Store, Upload } from './store.ts';

export function stoppable(store: Store, signal: AbortSignal): Store {
  return ending(
    store,
    signal,
    async (work) => {
      signal.throwIfAborted();
      return work();
    },
    true,
  );
}

/**
 * The same for work that nobody waits for after the signal: writes under way fail with the signal's reason, too, and may
 * be carried out or not. Only for writes that can be repeated, as those of a shipper can: its next start finds out.
 */
export function abandonable(store: Store, signal: AbortSignal): Store {
  return ending(store, signal, (work) => raced(work, signal), false);
}

/** `waits`: whether uploads are aborted before whoever aborts them goes on, after the signal, too. */
function ending(
  store: Store,
  signal: AbortSignal,
  write: <T>(work: () => Promise<T>) => Promise<T>,
  waits: boolean,
): Store {
  const read = <T>(work: () => Promise<T>): Promise<T> => raced(work, signal);
  const uploadOf = (upload: Upload): Upload => ({
    key: upload.key,
    put: (part, at, body) => write(() => upload.put(part, at, body)),
    copy: (part, at, source, range, etag) => write(() => upload.copy(part, at, source, range, etag)),
    complete: (condition) => write(() => upload.complete(condition)),
    abort: async () => {
      const aborted = upload.abort();
      if (waits || !signal.aborted) await aborted;
      else aborted.catch(() => undefined);
    },
  });
  return {
    url: store.url,
    limits: store.limits,
    head: (key) => read(() => store.head(key)),
    get: (key, range) => read(() => store.get(key, range)),
    stream: (key, range) => each(() => store.stream(key, range), signal),
    list: (prefix, after) => each(() => store.list(prefix, after), signal),
    folders: (prefix) => each(() => store.folders(prefix), signal),
    put: (key, body, condition) => write(() => store.put(key, body, condition)),
    upload: (key) =>
      write(async () => {
        const upload = await store.upload(key);
        if (!signal.aborted) return uploadOf(upload);
        await upload.abort(); // nobody else knows of this upload, so it is aborted here
        throw signal.reason;
      }),
    delete: (keys) => write(() => store.delete(keys)),
    probeConditions: (probeKey) => write(() => store.probeConditions(probeKey)),
    unfinished: (prefix) => each(() => store.unfinished(prefix), signal),
    close: () => store.close(),
  };
}

async function raced<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const stopped = Promise.withResolvers<never>();
  const stop = (): void => {
    stopped.reject(signal.reason);
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([work(), stopped.promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

async function* each<T>(source: () => AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  signal.throwIfAborted();
  const iterator = source()[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await raced(() => iterator.next(), signal);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    const ended = iterator.return?.();
    // After the signal an answer may never come, so nothing waits for it.
    if (signal.aborted) ended?.catch(() => undefined);
    else await ended;
  }
}
