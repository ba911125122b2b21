import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Access } from './access.ts';
import { DirectoryBodies, MemoryBodies } from './body-store.ts';
import { Catalog, type Mutation } from './catalog.ts';
import { ObjectEvents } from './events.ts';
import { Faults } from './faults.ts';
import { FrontDoor } from './front-door.ts';
import { newCounters, resetCounters, type RequestCounters } from './request-counters.ts';
import type { StoredObject } from './records.ts';
import { S3Error } from './s3-error.ts';

export type { Access, Identity } from './access.ts';
export type { Mutation } from './catalog.ts';
export type { EventFilter, S3EventRecord, S3Notification } from './events.ts';
export type { Fault, FaultHandle, FaultRule } from './faults.ts';
export type { OperationName } from './operation.ts';
export type { RequestCounters } from './request-counters.ts';
export type { RequestTarget } from './request.ts';

export interface S3ServerOptions {
  /** @default 0, a free port */
  readonly port?: number;
  /** Buckets that are there from the start. @default ['b'] */
  readonly buckets?: readonly string[];
  /** Keeps bytes in memory, or in a folder that a later server can use again. @default 'memory' */
  readonly data?: string;
  /** The permissions of each access key. @default everyone may do everything */
  readonly auth?: Access;
  /** @default 'us-east-1' */
  readonly region?: string;
  /** The time of new objects, by which presigned URLs also expire. @default Date.now */
  readonly now?: () => number;
}

export interface ListedObject {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
  readonly lastModified: Date;
}

export interface UnfinishedUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly initiated: Date;
  readonly parts: readonly { readonly partNumber: number; readonly size: number; readonly etag: string }[];
}

export interface S3Server {
  readonly endpoint: string;
  readonly port: number;
  readonly requests: RequestCounters;
  resetCounters(): void;
  readonly faults: Faults;
  readonly events: Pick<ObjectEvents, 'subscribe'>;
  /** In listing order. */
  objects(bucket: string): ListedObject[];
  /** The stored bytes, read without a request. */
  peek(bucket: string, key: string): Buffer;
  /** Replaces the stored bytes without a request. ETag and time stay; a stored checksum is removed. */
  poke(bucket: string, key: string, bytes: Uint8Array): void;
  uploads(bucket: string): UnfinishedUpload[];
  /** Each time a write replaced an object by one of other bytes, in order. */
  overwrites(): { bucket: string; key: string }[];
  /** What was made and deleted since the server was started, in order. */
  readonly history: readonly Mutation[];
  /** An outage: open connections are reset, and so is every new one. */
  pause(): void;
  resume(): void;
  close(): Promise<void>;
}

/** Starts an S3 server on the loopback interface, path-style addresses only. */
export async function startS3Server(options: S3ServerOptions = {}): Promise<S3Server> {
  const { port = 0, buckets = ['b'], data = 'memory', auth, region = 'us-east-1', now = Date.now } = options;
  const isInMemory = data === 'memory';
  if (!isInMemory) mkdirSync(data, { recursive: true });
  const bodies = isInMemory ? new MemoryBodies() : new DirectoryBodies(join(data, 'bodies'));
  const events = new ObjectEvents(region);
  const catalog = new Catalog(bodies, events, now);
  if (!isInMemory) catalog.openJournal(join(data, 'journal.jsonl'));
  for (const bucket of buckets) if (!catalog.buckets.has(bucket)) catalog.setBucket(bucket, 'Unversioned');

  const faults = new Faults();
  const requests = newCounters();
  const door = new FrontDoor({ state: { catalog, bodies }, faults, counters: requests, auth, now });
  const listeningPort = await door.listen(port);

  return {
    endpoint: `http://127.0.0.1:${String(listeningPort)}`,
    port: listeningPort,
    requests,
    resetCounters: () => {
      resetCounters(requests);
    },
    faults,
    events,
    objects: (bucket) =>
      [...catalog.bucket(bucket).versions.values()]
        .map((versions) => versions[0])
        .filter((newest): newest is StoredObject => newest?.kind === 'object')
        .map(({ key, body, etag, lastModified }) => ({
          key,
          size: body.size,
          etag,
          lastModified: new Date(lastModified),
        })),
    peek: (bucket, key) => {
      const object = catalog.bucket(bucket).current(key);
      if (!object) throw new S3Error('NoSuchKey', { Key: key });
      return bodies.readWhole(object.body);
    },
    poke: (bucket, key, bytes) => {
      catalog.corrupt(bucket, key, bytes);
    },
    uploads: (bucket) =>
      [...catalog.bucket(bucket).uploadsByKey().values()].flat().map((upload) => ({
        key: upload.record.key,
        uploadId: upload.record.uploadId,
        initiated: new Date(upload.record.initiated),
        parts: upload.partsInOrder().map(({ partNumber, body, etag }) => ({ partNumber, size: body.size, etag })),
      })),
    overwrites: () => [...catalog.overwrites],
    history: catalog.history,
    pause: () => {
      door.pause();
    },
    resume: () => {
      door.resume();
    },
    close: async () => {
      await door.close();
      catalog.close();
    },
  };
}
