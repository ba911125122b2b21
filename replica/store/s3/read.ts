import { Buffer } from 'node:buffer';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  type GetObjectCommandOutput,
} from '@aws-sdk/client-s3';
import { SeawallError } from '../../terms/errors.ts';
import { release } from '../../runtime/release.ts';
import { assertRange, describeRange, placeRange } from '../keys.ts';
import { backoffDelay } from '../../runtime/retry.ts';
import type { S3Bucket } from './bucket.ts';
import { noBucket, statusOf } from './errors.ts';
import { beyondObject, changedWhileRead, noObject, place } from '../store-errors.ts';
import type { ByteRange, ObjectInfo, StoredObject } from '../store.ts';

/** Largest piece of a stream, bytes. */
const PIECE = 256 * 1024;
const BACKOFF = { baseMs: 100, capMs: 5_000 };

/** What is being read, known before its first byte. */
interface Reading {
  readonly etag: string;
  /** Of the whole object. */
  readonly size: number;
  readonly lastModified: number;
  readonly start: number;
  readonly length: number;
}

interface Answer {
  readonly reading: Reading;
  readonly body: AsyncIterable<Uint8Array> & { on?: (event: 'error', listener: () => void) => unknown };
  /** Ends the connection. */
  readonly drop: () => void;
}

export async function headS3(s3: S3Bucket, key: string): Promise<ObjectInfo | undefined> {
  const Key = s3.full(key);
  s3.assertOpen();
  try {
    const answer = await s3.client.send(new HeadObjectCommand({ Bucket: s3.bucket, Key }), s3.within());
    s3.learned.bucketExists = true;
    return infoOf(key, answer.ContentLength, answer.ETag, answer.LastModified);
  } catch (error) {
    if (statusOf(error) === 404) {
      await assertBucket(s3);
      return undefined;
    }
    throw await explained(s3, key, error);
  }
}

export function infoOf(
  key: string,
  size: number | undefined,
  etag: string | undefined,
  modified: Date | undefined,
): ObjectInfo {
  return { key, size: size ?? 0, etag: etag ?? '', lastModified: modified?.getTime() ?? 0 };
}

async function assertBucket(s3: S3Bucket): Promise<void> {
  if (s3.learned.bucketExists) return;
  try {
    await s3.client.send(new HeadBucketCommand({ Bucket: s3.bucket }), s3.within());
  } catch (error) {
    const status = statusOf(error);
    if (status === 404) throw noBucket(s3, { status }, error);
    if (status !== 403) throw s3.failure(error); // who may not look at the bucket is told that it is there
  }
  s3.learned.bucketExists = true;
}

/** HEAD has no body to say why: the same question as a GET does. */
async function explained(s3: S3Bucket, key: string, error: unknown): Promise<Error> {
  const status = statusOf(error);
  if (status !== 400 && status !== 403) return s3.failure(error, key);
  try {
    (await request(s3, key, { offset: 0, length: 1 })).drop();
    return s3.failure(error, key);
  } catch (said) {
    return s3.failure(statusOf(said) === status ? said : error, key);
  }
}

export async function getS3(s3: S3Bucket, key: string, range: ByteRange | undefined): Promise<StoredObject> {
  let body = Buffer.alloc(0);
  let done = 0;
  let reading: Reading | undefined;
  const pieces = readS3(s3, key, range, (found) => {
    reading = found;
    body = Buffer.allocUnsafe(found.length);
  });
  for await (const piece of pieces) {
    done += piece.copy(body, done);
    release(piece);
  }
  if (reading === undefined) throw noObject(s3.url, key);
  return { body, etag: reading.etag, size: reading.size, lastModified: reading.lastModified };
}

/**
 * Reads in pieces. Where the body breaks off or stalls, the rest is asked for with If-Match on the same ETag; attempts
 * count anew with every byte that came.
 */
export async function* readS3(
  s3: S3Bucket,
  key: string,
  range: ByteRange | undefined,
  begun: (reading: Reading) => void = () => undefined,
): AsyncGenerator<Buffer> {
  if (range !== undefined) assertRange(range);
  s3.full(key);
  s3.assertOpen();
  let answer = await begin(s3, key, range);
  const { reading } = answer;
  begun(reading);
  for (let done = 0, failures = 0; ;) {
    let failure: unknown;
    let ended = false;
    const before = done;
    const iterator = answer.body[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await within(s3.idleTimeout, iterator.next());
        ended = next.done === true;
        if (next.done === true) break;
        done += next.value.length;
        if (done > reading.length) throw tooLong(s3, key, reading, done);
        for (let at = 0; at < next.value.length; at += PIECE) yield viewOf(next.value).subarray(at, at + PIECE);
      }
    } catch (error) {
      if (error instanceof SeawallError) throw error;
      if (isChecksumMismatch(error)) throw damaged(s3, key, error);
      failure = error;
    } finally {
      if (!ended) answer.drop(); // also when the reader leaves early; a body read to its end keeps its connection
    }
    if (done === reading.length) return;
    failures = done > before ? 1 : failures + 1;
    if (failures >= s3.attempts) throw brokenOff(s3, key, reading, done, failure);
    await sleep(backoffDelay(failures, BACKOFF, Math.random));
    s3.assertOpen();
    answer = await resume(s3, key, reading, done);
  }
}

async function begin(s3: S3Bucket, key: string, range: ByteRange | undefined): Promise<Answer> {
  const isEmpty = range !== undefined && ('suffix' in range ? range.suffix : range.length) === 0;
  if (isEmpty) return nothing(s3, key, range); // HTTP cannot ask for no bytes
  try {
    return await request(s3, key, range);
  } catch (error) {
    // Any range of an empty object is answered with 416, and one past the end too: its size tells which.
    if (range !== undefined && statusOf(error) === 416) return nothing(s3, key, range, error);
    throw s3.failure(error, key);
  }
}

/** The answer to a range of no bytes, from the object's HEAD. */
async function nothing(s3: S3Bucket, key: string, range: ByteRange, cause?: unknown): Promise<Answer> {
  const info = await headS3(s3, key);
  if (info === undefined) throw noObject(s3.url, key, {}, cause);
  const placed = placeRange(range, info.size);
  if (placed === undefined) throw beyondObject(s3.url, key, range, info.size);
  if (placed.length > 0) throw s3.failure(cause, key);
  return { reading: { ...info, ...placed }, body: none(), drop: () => undefined };
}

async function* none(): AsyncGenerator<Uint8Array> {
  // no bytes
}

async function resume(s3: S3Bucket, key: string, reading: Reading, done: number): Promise<Answer> {
  const rest = { offset: reading.start + done, length: reading.length - done };
  try {
    const answer = await request(s3, key, rest, reading.etag);
    if (answer.reading.etag === reading.etag) return answer;
    answer.drop(); // a server that does not know If-Match
  } catch (error) {
    if (statusOf(error) !== 412 && statusOf(error) !== 416) throw s3.failure(error, key);
    throw changedWhileRead(s3.url, key, reading.etag, error);
  }
  throw changedWhileRead(s3.url, key, reading.etag);
}

async function request(s3: S3Bucket, key: string, range?: ByteRange, ifMatch?: string): Promise<Answer> {
  const controller = new AbortController();
  const drop = (): void => {
    controller.abort();
  };
  const command = new GetObjectCommand({
    Bucket: s3.bucket,
    Key: s3.full(key),
    ...(range === undefined ? {} : { Range: header(range) }),
    ...(ifMatch === undefined ? {} : { IfMatch: ifMatch }),
  });
  const answer = await s3.client.send(command, { requestTimeout: s3.idleTimeout, abortSignal: controller.signal });
  s3.learned.bucketExists = true;
  const body = answer.Body as Answer['body'];
  body.on?.('error', () => undefined); // dropped unread, it fails with nobody to listen, which would end the process
  try {
    return { reading: readingOf(s3, key, range, answer), body, drop };
  } catch (error) {
    drop();
    throw error;
  }
}

function header(range: ByteRange): string {
  if ('suffix' in range) return `bytes=-${range.suffix}`;
  return `bytes=${range.offset}-${range.offset + range.length - 1}`;
}

function readingOf(s3: S3Bucket, key: string, range: ByteRange | undefined, answer: GetObjectCommandOutput): Reading {
  const sent = answer.ContentLength ?? 0;
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(answer.ContentRange ?? '');
  const size = match === null ? sent : Number(match[3]);
  const placed = placeRange(range, size);
  if (placed === undefined) throw beyondObject(s3.url, key, range ?? { suffix: 0 }, size);
  const start = match === null ? 0 : Number(match[1]);
  if (start !== placed.start || sent !== placed.length) {
    const asked = range === undefined ? 'the object' : describeRange(range);
    const message = `${place(s3.url, key)}: asked for ${asked}, the store sends ${sent} bytes from ${start}`;
    throw new SeawallError('unsupported', 'STORE_RANGE_IGNORED', message, {
      key,
      expected: placed.length,
      actual: sent,
    });
  }
  return { ...infoOf(key, size, answer.ETag, answer.LastModified), ...placed };
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The clock runs only while we wait for the store, not while our reader is busy. */
async function within<T>(ms: number, waiting: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no byte for ${ms} ms`));
    }, ms);
  });
  try {
    return await Promise.race([waiting, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The SDK compares the body with the checksum the store sent, and has no name for its error. */
function isChecksumMismatch(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('Checksum mismatch');
}

function damaged(s3: S3Bucket, key: string, cause: unknown): SeawallError {
  const message = `${place(s3.url, key)}: the bytes do not match the checksum the store keeps of them`;
  return new SeawallError('corrupt', 'STORE_CHECKSUM', message, { key }, cause);
}

function tooLong(s3: S3Bucket, key: string, reading: Reading, done: number): SeawallError {
  const message = `${place(s3.url, key)}: the store sends more than the ${reading.length} bytes it announced`;
  return new SeawallError('unreachable', 'STORE_BAD_ANSWER', message, { key, expected: reading.length, actual: done });
}

function brokenOff(s3: S3Bucket, key: string, reading: Reading, done: number, cause: unknown): SeawallError {
  const message = `${place(s3.url, key)}: the connection breaks off again and again, after ${done} of ${reading.length} bytes`;
  return new SeawallError(
    'unreachable',
    'STORE_BODY_CUT',
    message,
    { key, expected: reading.length, actual: done },
    cause,
  );
}
