/* eslint-disable @typescript-eslint/require-await -- async makes rejections of what is thrown, as callers expect */
import { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import {
  assertCopyRange,
  assertFolder,
  assertKey,
  assertPrefix,
  assertRange,
  compareKeys,
  placeRange,
} from './keys.ts';
import { probeByWriting } from './probe.ts';
import {
  alreadyThere,
  beyondObject,
  changedWhileRead,
  etagDiffers,
  noObject,
  noUpload,
  place,
  sourceTooSmall,
  storeClosed,
} from './store-errors.ts';
import type { ByteRange, Condition, ObjectInfo, PartLimits, Store, StoredObject, Upload } from './store.ts';
import { UploadLedger } from './upload-ledger.ts';

export interface MemoryStoreOptions {
  /** Limits of parts, for example those of S3. @default almost none */
  readonly limits?: Partial<PartLimits>;
}

/** A store in this process's memory. */
export interface MemoryStore extends Store {
  /** Another store over the same objects. It is open even if this one was closed. */
  reopen(): MemoryStore;
}

interface Held {
  readonly bytes: Buffer;
  readonly etag: string;
  readonly lastModified: number;
}

interface HeldUpload {
  readonly key: string;
  readonly started: number;
  readonly parts: Map<number, Buffer>;
}

interface Contents {
  readonly limits: PartLimits;
  readonly objects: Map<string, Held>;
  readonly uploads: Map<string, HeldUpload>;
  /** Keys in order; undefined after a key was added or removed. */
  sorted: readonly string[] | undefined;
  /** ETags count writes, so that equal bytes written twice differ too. */
  writes: number;
}

const URL = 'memory:';
const PIECE = 64 * 1024;
const LIMITS: PartLimits = { minPart: 1, maxPart: 5 * 2 ** 30, maxParts: 10_000, minCopySource: 1 };

/** Objects in memory, for tests and trials, with all of the contract's semantics. Bytes are copied in and out. */
export function memoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  const limits = { ...LIMITS, ...options.limits };
  return openOver({ limits, objects: new Map(), uploads: new Map(), sorted: undefined, writes: 0 });
}

function openOver(contents: Contents): MemoryStore {
  let closed = false;
  const open = (): Contents => {
    if (closed) throw storeClosed(URL);
    return contents;
  };
  const store: MemoryStore = {
    url: URL,
    limits: contents.limits,
    async head(key) {
      assertKey(key);
      const held = open().objects.get(key);
      return held === undefined ? undefined : infoOf(key, held);
    },
    async get(key, range) {
      return read(open(), key, range);
    },
    async *stream(key, range) {
      const { body, etag } = read(open(), key, range);
      for (let at = 0; at < body.length; at += PIECE) {
        if (open().objects.get(key)?.etag !== etag) throw changedWhileRead(URL, key, etag);
        yield body.subarray(at, at + PIECE);
      }
    },
    async *list(prefix, after) {
      assertPrefix(prefix);
      for (const key of sortedKeys(open())) {
        if (!key.startsWith(prefix) || (after !== undefined && compareKeys(key, after) <= 0)) continue;
        const held = open().objects.get(key);
        if (held !== undefined) yield infoOf(key, held);
      }
    },
    async *folders(prefix) {
      assertFolder(prefix);
      const names = new Set<string>();
      for (const key of open().objects.keys()) {
        const end = key.indexOf('/', prefix.length);
        if (key.startsWith(prefix) && end > 0) names.add(key.slice(prefix.length, end));
      }
      yield* [...names].sort(compareKeys);
    },
    async put(key, body, condition) {
      assertKey(key);
      return write(open(), key, Buffer.from(body), condition);
    },
    async upload(key) {
      assertKey(key);
      return startUpload(open(), key);
    },
    async delete(keys) {
      keys.forEach(assertKey);
      for (const key of keys) if (open().objects.delete(key)) contents.sorted = undefined;
      return keys.map((key) => ({ key }));
    },
    async probeConditions(probeKey) {
      return probeByWriting(store, probeKey);
    },
    async *unfinished(prefix) {
      assertPrefix(prefix);
      for (const [id, { key, started }] of [...open().uploads]) {
        if (!key.startsWith(prefix)) continue;
        yield { key, id, started, abort: async () => void open().uploads.delete(id) };
      }
    },
    async close() {
      closed = true;
    },
    reopen: () => openOver(contents),
  };
  return store;
}

function sortedKeys(contents: Contents): readonly string[] {
  contents.sorted ??= [...contents.objects.keys()].sort(compareKeys);
  return contents.sorted;
}

function infoOf(key: string, held: Held): ObjectInfo {
  return { key, size: held.bytes.length, etag: held.etag, lastModified: held.lastModified };
}

function read(contents: Contents, key: string, range: ByteRange | undefined): StoredObject {
  assertKey(key);
  if (range !== undefined) assertRange(range);
  const held = contents.objects.get(key);
  if (held === undefined) throw noObject(URL, key);
  const { bytes, etag, lastModified } = held;
  const found = placeRange(range, bytes.length);
  if (found === undefined) throw beyondObject(URL, key, range ?? { suffix: 0 }, bytes.length);
  const body = Buffer.from(bytes.subarray(found.start, found.start + found.length));
  return { body, etag, size: bytes.length, lastModified };
}

function write(contents: Contents, key: string, bytes: Buffer, condition: Condition | undefined): { etag: string } {
  const held = contents.objects.get(key);
  if (condition === 'absent' && held !== undefined) {
    if (held.bytes.equals(bytes)) return { etag: held.etag };
    throw alreadyThere(URL, key);
  }
  if (typeof condition === 'object' && held?.etag !== condition.ifMatch) {
    throw etagDiffers(URL, key, condition.ifMatch, held?.etag ?? 'none');
  }
  return keep(contents, key, bytes);
}

function keep(contents: Contents, key: string, bytes: Buffer): { etag: string } {
  const etag = `"memory-${++contents.writes}"`;
  if (!contents.objects.has(key)) contents.sorted = undefined;
  contents.objects.set(key, { bytes, etag, lastModified: Date.now() });
  return { etag };
}

function startUpload(contents: Contents, key: string): Upload {
  const id = randomUUID();
  const parts = new Map<number, Buffer>();
  const ledger = new UploadLedger(place(URL, key), contents.limits);
  contents.uploads.set(id, { key, started: Date.now(), parts });
  const abort = async (): Promise<void> => {
    if (await ledger.aborting()) contents.uploads.delete(id);
  };
  const assertThere = (): void => {
    if (!contents.uploads.has(id)) throw noUpload(URL, key);
  };
  return {
    key,
    put: (part, at, body) =>
      ledger.part(part, at, body.length, async () => {
        assertThere();
        parts.set(part, Buffer.from(body));
      }),
    copy: async (part, at, source, range, etag) => {
      assertCopyRange(range);
      await ledger.part(part, at, range.length, async () => {
        assertThere();
        const current = contents.objects.get(source)?.etag;
        if (current !== undefined && current !== etag) throw etagDiffers(URL, source, etag, current);
        const found = read(contents, source, range);
        const { minCopySource } = contents.limits;
        if (found.size < minCopySource) throw sourceTooSmall(URL, source, found.size, minCopySource);
        parts.set(part, found.body);
      });
    },
    async complete(condition) {
      const { parts: numbers } = ledger.toComplete();
      assertThere();
      if (condition === 'absent' && contents.objects.has(key)) {
        await abort();
        throw alreadyThere(URL, key);
      }
      ledger.completed();
      contents.uploads.delete(id);
      return keep(contents, key, Buffer.concat(numbers.map((part) => parts.get(part) ?? Buffer.alloc(0))));
    },
    abort,
  };
}
