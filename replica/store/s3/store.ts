/**
 * A bucket of Amazon S3, or of a server that speaks its protocol, by @aws-sdk/client-s3.
 *
 * The SDK signs, and repeats requests that failed for a while. This adds what it leaves out: bodies that break off are
 * resumed (s3-read.ts), conditional writes whose answer was lost are told from lost ones (s3-put.ts, s3-upload.ts),
 * the outcome of each deletion is looked at (s3-delete.ts), and lists keep their order (s3-list.ts).
 */
import { assertFolder, assertPrefix } from '../keys.ts';
import { probeByWriting } from '../probe.ts';
import { S3Bucket, type S3StoreOptions } from './bucket.ts';
import { deleteS3 } from './delete.ts';
import { foldersS3, listS3 } from './list.ts';
import { putS3 } from './put.ts';
import { getS3, headS3, readS3 } from './read.ts';
import { ticketS3 } from './ticket.ts';
import { S3_LIMITS, startS3Upload, unfinishedS3 } from './upload.ts';
import type { Store } from '../store.ts';

export type { S3StoreOptions } from './bucket.ts';

/**
 * Opens a bucket, or what lies below a prefix of it. Sends no request.
 *
 * @throws TypeError or RangeError for unknown options and values out of range
 */
export function s3Store(options: S3StoreOptions): Store {
  const s3 = new S3Bucket(options);
  const store: Store = {
    url: s3.url,
    limits: S3_LIMITS,
    head: (key) => headS3(s3, key),
    get: (key, range) => getS3(s3, key, range),
    stream: (key, range) => readS3(s3, key, range),
    ticket: (key, range) => ticketS3(s3, key, range),
    list: async function* (prefix, after) {
      assertPrefix(prefix);
      yield* listS3(s3, prefix, after);
    },
    folders: async function* (prefix) {
      assertFolder(prefix);
      yield* foldersS3(s3, prefix);
    },
    put: (key, body, condition) => putS3(s3, key, body, condition),
    upload: (key) => startS3Upload(s3, key),
    delete: (keys) => deleteS3(s3, keys),
    probeConditions: (probeKey) => probeByWriting(store, probeKey),
    unfinished: async function* (prefix) {
      assertPrefix(prefix);
      yield* unfinishedS3(s3, prefix);
    },
    close: () => {
      s3.close();
      return Promise.resolve();
    },
  };
  return store;
}
