import { Buffer } from 'node:buffer';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { isKind } from '../../terms/errors.ts';
import type { S3Bucket } from './bucket.ts';
import { attemptsOf, nameOf, statusOf } from './errors.ts';
import { headS3, readS3 } from './read.ts';
import { alreadyThere, etagDiffers } from '../store-errors.ts';
import type { Condition, PutResult } from '../store.ts';

/**
 * Writes an object in one request. The body goes as a buffer with its length: streams cannot be sent twice, and some
 * servers take no chunked ones.
 *
 * An answer may be lost after the write was done; the SDK sends it again, and the store says 412 of what we wrote
 * ourselves. So a refused write is a conflict only if other bytes are there: always looked up for 'absent', and for
 * ifMatch when the request was sent more than once.
 */
export async function putS3(s3: S3Bucket, key: string, body: Uint8Array, condition?: Condition): Promise<PutResult> {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const command = new PutObjectCommand({
    Bucket: s3.bucket,
    Key: s3.full(key),
    Body: bytes,
    ContentLength: bytes.length,
    ...conditionHeader(condition),
  });
  s3.assertOpen();
  let sent = 0;
  try {
    const answer = await s3.again(isRaceLost, () =>
      s3.client.send(command, s3.within(bytes.length)).catch((error: unknown) => {
        sent += attemptsOf(error);
        throw error;
      }),
    );
    return { etag: answer.ETag ?? '' };
  } catch (error) {
    if (condition === undefined || !isRefused(error, condition)) throw s3.failure(error, key);
    const etag = condition === 'absent' || sent > 1 ? await etagIfEqual(s3, key, bytes) : undefined;
    if (etag !== undefined) return { etag };
    if (condition === 'absent') throw alreadyThere(s3.url, key, error);
    throw etagDiffers(s3.url, key, condition.ifMatch, undefined, error);
  }
}

/** ifMatch on what is not there is answered with 404. */
function isRefused(error: unknown, condition: Condition): boolean {
  if (statusOf(error) === 412) return true;
  return condition !== 'absent' && statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket';
}

/** 409: a write of the same key was under way. Nothing was decided, so the same request is sent again. */
function isRaceLost(error: unknown): boolean {
  return statusOf(error) === 409;
}

function conditionHeader(condition: Condition | undefined): { IfNoneMatch?: string; IfMatch?: string } {
  if (condition === undefined) return {};
  return condition === 'absent' ? { IfNoneMatch: '*' } : { IfMatch: quoted(condition.ifMatch) };
}

/** Some servers list ETags without the quotes that HTTP wants in a condition. */
export function quoted(etag: string): string {
  return etag.startsWith('"') ? etag : `"${etag}"`;
}

/** The ETag of the object if it holds exactly these bytes. Read only where its size is right. */
async function etagIfEqual(s3: S3Bucket, key: string, bytes: Buffer): Promise<string | undefined> {
  try {
    const info = await headS3(s3, key);
    if (info?.size !== bytes.length) return undefined;
    let etag = info.etag;
    let done = 0;
    const pieces = readS3(s3, key, undefined, (reading) => {
      etag = reading.etag;
    });
    for await (const piece of pieces) {
      if (!piece.equals(bytes.subarray(done, done + piece.length))) return undefined;
      done += piece.length;
    }
    return done === bytes.length ? etag : undefined;
  } catch (error) {
    // Gone or replaced meanwhile, or not ours to read: it is not known to be ours, so the refusal stands.
    if (isKind(error, 'missing', 'conflict', 'denied')) return undefined;
    throw error;
  }
}
