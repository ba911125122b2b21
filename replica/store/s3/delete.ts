import { DeleteObjectCommand, DeleteObjectsCommand, type _Error as KeyError } from '@aws-sdk/client-s3';
import { isKind, SeawallError } from '../../terms/errors.ts';
import type { S3Bucket } from './bucket.ts';
import { nameOf, s3Failure, statusOf } from './errors.ts';
import { place } from '../store-errors.ts';
import type { DeleteOutcome } from '../store.ts';

const BATCH = 1000;
/** Single deletions at the same time, where batches are not to be had. */
const AT_ONCE = 8;

/**
 * Deletes in batches of 1,000. The outcome of each key is what the store said of that key: one it neither reports as
 * deleted nor as failed counts as failed. Whether what is reported as deleted is gone, only a list can tell.
 */
export async function deleteS3(s3: S3Bucket, keys: readonly string[]): Promise<DeleteOutcome[]> {
  for (const key of keys) s3.full(key);
  s3.assertOpen();
  const unique = [...new Set(keys)];
  const errors = new Map<string, Error>();
  for (let i = 0; i < unique.length; i += BATCH) await deleteBatch(s3, unique.slice(i, i + BATCH), errors);
  return keys.map((key) => {
    const error = errors.get(key);
    return error === undefined ? { key } : { key, error };
  });
}

async function deleteBatch(s3: S3Bucket, keys: readonly string[], errors: Map<string, Error>): Promise<void> {
  let left = keys;
  try {
    await s3.again(isPassing, async () => {
      const failed = s3.learned.deletesSingly ? await deleteSingly(s3, left) : await deleteTogether(s3, left);
      for (const key of left) errors.delete(key);
      for (const [key, error] of failed) errors.set(key, error);
      left = [...failed].flatMap(([key, error]) => (isPassing(error) ? [key] : []));
      const [first] = left;
      if (first !== undefined) throw errors.get(first);
    });
  } catch (error) {
    // Either each of those left has its own error already, or the request as a whole failed, and all have this one.
    for (const key of left) if (!errors.has(key)) errors.set(key, s3.failure(error, key));
  }
}

/** What one key's outcome may be next time. The SDK has repeated failures of whole requests already. */
function isPassing(error: unknown): boolean {
  return error instanceof SeawallError && ['STORE_THROTTLED', 'STORE_SERVER_ERROR', 'STORE_BUSY'].includes(error.code);
}

async function deleteTogether(s3: S3Bucket, keys: readonly string[]): Promise<Map<string, Error>> {
  const command = new DeleteObjectsCommand({
    Bucket: s3.bucket,
    Delete: { Objects: keys.map((key) => ({ Key: s3.full(key) })), Quiet: false },
  });
  const failed = new Map<string, Error>();
  const answer = await s3.client.send(command, s3.within()).catch((error: unknown) => {
    if (!wantsSingly(error)) throw error;
    s3.learned.deletesSingly = true;
    return undefined;
  });
  if (answer === undefined) return deleteSingly(s3, keys);
  const deleted = new Set(answer.Deleted?.map(({ Key }) => Key));
  const refused = new Map(answer.Errors?.map((error) => [error.Key, error]));
  for (const key of keys) {
    const full = s3.full(key);
    const error = refused.get(full);
    if (error !== undefined) failed.set(key, keyFailure(s3, key, error));
    else if (!deleted.has(full)) failed.set(key, unconfirmed(s3, key));
  }
  return failed;
}

async function deleteSingly(s3: S3Bucket, keys: readonly string[]): Promise<Map<string, Error>> {
  const failed = new Map<string, Error>();
  const queue = keys.values(); // shared: each worker takes the next key
  const worker = async (): Promise<void> => {
    for (const key of queue) {
      try {
        await s3.client.send(new DeleteObjectCommand({ Bucket: s3.bucket, Key: s3.full(key) }), s3.within());
      } catch (error) {
        const failure = s3.failure(error, key);
        if (!isKind(failure, 'missing') || failure.code === 'STORE_NO_BUCKET') failed.set(key, failure);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return failed;
}

function wantsSingly(error: unknown): boolean {
  const status = statusOf(error);
  if (status === 501 || status === 405) return true;
  const isAboutDigest = /md5|digest|checksum/i.test(`${nameOf(error)} ${error instanceof Error ? error.message : ''}`);
  return status === 400 && (isAboutDigest || nameOf(error) === 'NotImplemented');
}

function keyFailure(s3: S3Bucket, key: string, { Code = 'UnknownError', Message = '' }: KeyError): Error {
  return s3Failure(Object.assign(new Error(Message), { name: Code }), { url: s3.url, bucket: s3.bucket, key });
}

function unconfirmed(s3: S3Bucket, key: string): SeawallError {
  const message = `${place(s3.url, key)}: the store's answer does not say whether it deleted this`;
  return new SeawallError('unreachable', 'STORE_DELETE_UNCONFIRMED', message, { key });
}
