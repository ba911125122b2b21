import { SeawallError } from '../terms/errors.ts';
import { assertFolder, assertKey, assertPrefix } from './keys.ts';
import { place, storeClosed } from './store-errors.ts';
import type { CopyRange, ObjectInfo, Store, UnfinishedUpload, Upload } from './store.ts';

/**
 * A view of a store below a prefix: its keys, and those in errors and outcomes, are relative to the prefix.
 * `close()` closes only the view; the store stays open.
 *
 * @param prefix a key, with or without a slash at its end; empty for the whole store
 */
export function scoped(store: Store, prefix: string): Store {
  const root = prefix.replace(/\/$/, '');
  if (root === '') {
    if (prefix !== '') throw new RangeError(`not a prefix: ${JSON.stringify(prefix)}`);
    return view(store, '', store.url);
  }
  assertKey(root);
  return view(store, `${root}/`, place(store.url, root));
}

function view(store: Store, base: string, url: string): Store {
  let closed = false;
  const inner = (key: string): string => base + key;
  const outer = (key: string): string => key.slice(base.length);
  const info = (found: ObjectInfo): ObjectInfo => ({ ...found, key: outer(found.key) });

  /** Messages name the full place, which does not change; only the key in the facts becomes relative. */
  const translate = (error: unknown): unknown => {
    if (!(error instanceof SeawallError)) return error;
    const { key } = error.facts;
    if (!key?.startsWith(base)) return error;
    return new SeawallError(error.kind, error.code, error.message, { ...error.facts, key: outer(key) }, error.cause);
  };
  const assertOpen = (): void => {
    if (closed) throw storeClosed(url);
  };
  const run = async <T>(work: () => Promise<T>): Promise<T> => {
    assertOpen();
    try {
      return await work();
    } catch (error) {
      throw translate(error);
    }
  };
  const each = async function* <T, U>(source: () => AsyncIterable<T>, map: (value: T) => U): AsyncGenerator<U> {
    assertOpen();
    try {
      for await (const value of source()) {
        yield map(value);
        assertOpen();
      }
    } catch (error) {
      throw translate(error);
    }
  };
  const uploadBelow = (upload: Upload): Upload => ({
    key: outer(upload.key),
    put: (part, at, body) => run(() => upload.put(part, at, body)),
    copy: async (part, at, source, range, etag) => {
      assertKey(source);
      await run(() => upload.copy(part, at, inner(source), range, etag));
    },
    complete: (condition) => run(() => upload.complete(condition)),
    abort: () => run(() => upload.abort()),
  });
  const keyed = async <T>(key: string, work: (full: string) => Promise<T>): Promise<T> => {
    assertKey(key);
    return run(() => work(inner(key)));
  };

  return {
    url,
    limits: store.limits,
    head: (key) =>
      keyed(key, async (full) => {
        const found = await store.head(full);
        return found === undefined ? undefined : info(found);
      }),
    get: (key, range) => keyed(key, (full) => store.get(full, range)),
    ...(store.ticket && {
      ticket: (key: string, range: CopyRange) => keyed(key, (full) => store.ticket!(full, range)),
    }),
    stream: async function* (key, range) {
      assertKey(key);
      yield* each(
        () => store.stream(inner(key), range),
        (piece) => piece,
      );
    },
    list: async function* (prefix, after) {
      assertPrefix(prefix);
      yield* each(() => store.list(inner(prefix), after === undefined ? undefined : inner(after)), info);
    },
    folders: async function* (prefix) {
      assertFolder(prefix);
      yield* each(
        () => store.folders(inner(prefix)),
        (name) => name,
      );
    },
    put: (key, body, condition) => keyed(key, (full) => store.put(full, body, condition)),
    upload: (key) => keyed(key, async (full) => uploadBelow(await store.upload(full))),
    delete: async (keys) => {
      keys.forEach(assertKey);
      const outcomes = await run(() => store.delete(keys.map(inner)));
      return outcomes.map(({ key, error }) =>
        error === undefined ? { key: outer(key) } : { key: outer(key), error: translate(error) as Error },
      );
    },
    probeConditions: (probeKey) => keyed(probeKey, (full) => store.probeConditions(full)),
    unfinished: async function* (prefix) {
      assertPrefix(prefix);
      yield* each(
        () => store.unfinished(inner(prefix)),
        (found): UnfinishedUpload => ({
          key: outer(found.key),
          id: found.id,
          started: found.started,
          abort: () => run(() => found.abort()),
        }),
      );
    },
    close: () => {
      closed = true;
      return Promise.resolve();
    },
  };
}
