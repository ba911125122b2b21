import { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';
import { SeawallError } from '../../terms/errors.ts';
import { assertCopyRange, placeRange } from '../keys.ts';
import type { S3Bucket } from './bucket.ts';
import { nameOf, statusOf } from './errors.ts';
import { decoded } from './list.ts';
import { quoted } from './put.ts';
import { headS3 } from './read.ts';
import { alreadyThere, beyondObject, etagDiffers, noObject, place, sourceTooSmall } from '../store-errors.ts';
import type { CopyRange, PartLimits, UnfinishedUpload, Upload } from '../store.ts';
import { UploadLedger } from '../upload-ledger.ts';

export const S3_LIMITS: PartLimits = {
  minPart: 5 * 2 ** 20,
  maxPart: 5 * 2 ** 30,
  maxParts: 10_000,
  minCopySource: 5 * 2 ** 20 + 1,
};

/** User metadata that tells an object as the work of one upload, should the answer to its completion be lost. */
const TOKEN = 'seawall-upload';
/** What a server may need to join parts or to copy them, beyond the usual, milliseconds. */
const JOIN_MS = 120_000;
const COPY_BYTES_PER_MS = 16 * 1024;

/** Starts a multipart upload. */
export async function startS3Upload(s3: S3Bucket, key: string): Promise<Upload> {
  const token = randomUUID();
  const target = { Bucket: s3.bucket, Key: s3.full(key) };
  s3.assertOpen();
  const checksums = await s3.checksumsParts();
  let id: string;
  try {
    const create = new CreateMultipartUploadCommand({
      ...target,
      Metadata: { [TOKEN]: token },
      // The SDK gives each part a checksum but does not announce it here; without, the completion is refused.
      ...(checksums ? { ChecksumAlgorithm: 'CRC32' } : {}),
    });
    const { UploadId } = await s3.client.send(create, s3.within());
    if (UploadId === undefined) throw new Error('the answer names no upload');
    id = UploadId;
  } catch (error) {
    throw s3.failure(error, key);
  }
  return new S3Upload(s3, key, id, token, checksums);
}

class S3Upload implements Upload {
  readonly key: string;
  readonly #s3: S3Bucket;
  readonly #target: { Bucket: string; Key: string; UploadId: string };
  readonly #token: string;
  /** Whether the upload was announced with checksums of its parts. */
  readonly #checksums: boolean;
  readonly #ledger: UploadLedger;
  readonly #parts = new Map<number, CompletedPart>();

  constructor(s3: S3Bucket, key: string, id: string, token: string, checksums: boolean) {
    this.key = key;
    this.#s3 = s3;
    this.#target = { Bucket: s3.bucket, Key: s3.full(key), UploadId: id };
    this.#token = token;
    this.#checksums = checksums;
    this.#ledger = new UploadLedger(place(s3.url, key), S3_LIMITS);
  }

  put(part: number, at: number, body: Uint8Array): Promise<void> {
    return this.#ledger.part(part, at, body.length, async () => {
      const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
      const command = new UploadPartCommand({
        ...this.#target,
        PartNumber: part,
        Body: bytes,
        ContentLength: bytes.length,
      });
      this.#s3.assertOpen();
      try {
        this.#book(part, await this.#s3.client.send(command, this.#s3.within(bytes.length)));
      } catch (error) {
        throw this.#s3.failure(error, this.key);
      }
    });
  }

  async copy(part: number, at: number, source: string, range: CopyRange, etag: string): Promise<void> {
    assertCopyRange(range);
    const full = this.#s3.full(source);
    await this.#ledger.part(part, at, range.length, async () => {
      const command = new UploadPartCopyCommand({
        ...this.#target,
        PartNumber: part,
        CopySource: `${this.#s3.bucket}/${full.split('/').map(encodeURIComponent).join('/')}`,
        CopySourceRange: `bytes=${range.offset}-${range.offset + range.length - 1}`,
        CopySourceIfMatch: quoted(etag),
      });
      this.#s3.assertOpen();
      try {
        const answer = await this.#s3.client.send(command, this.#s3.within(0, range.length / COPY_BYTES_PER_MS));
        // A server that does not know copies may take the request for an empty part.
        if (answer.CopyPartResult?.ETag === undefined) throw noCopies(place(this.#s3.url, source), source);
        this.#book(part, answer.CopyPartResult);
      } catch (error) {
        throw await this.#explainCopy(error, source, range, etag);
      }
    });
  }

  async complete(condition?: 'absent'): Promise<{ etag: string }> {
    const { parts } = this.#ledger.toComplete();
    const command = new CompleteMultipartUploadCommand({
      ...this.#target,
      MultipartUpload: { Parts: parts.flatMap((part) => this.#parts.get(part) ?? []) },
      ...(condition === 'absent' ? { IfNoneMatch: '*' } : {}),
    });
    this.#s3.assertOpen();
    try {
      const { ETag = '' } = await this.#s3.client.send(command, this.#s3.within(0, JOIN_MS));
      this.#ledger.completed();
      return { etag: ETag };
    } catch (error) {
      const made = await this.#made(error);
      if (made.etag !== undefined) {
        this.#ledger.completed();
        return { etag: made.etag };
      }
      throw await this.#explainCompletion(error, condition, made.isOther);
    }
  }

  async abort(): Promise<void> {
    if (!(await this.#ledger.aborting())) return;
    await abortS3(this.#s3, this.key, this.#target);
  }

  #book(part: number, answer: CompletedPart): void {
    const { ETag, ChecksumCRC32 } = answer;
    if (ETag === undefined) {
      const message = `${place(this.#s3.url, this.key)}: the answer to part ${part} has no ETag`;
      throw new SeawallError('unreachable', 'STORE_BAD_ANSWER', message, { key: this.key });
    }
    // Where checksums were announced, the completion has to repeat those of the parts.
    const checksum = this.#checksums && ChecksumCRC32 !== undefined ? { ChecksumCRC32 } : {};
    this.#parts.set(part, { PartNumber: part, ETag, ...checksum });
  }

  /** Whether the object is there after a failed completion, and ours: the answer to an earlier attempt may be lost. */
  async #made(failure: unknown): Promise<{ etag?: string; isOther: boolean }> {
    try {
      const { Bucket, Key } = this.#target;
      const answer = await this.#s3.client.send(new HeadObjectCommand({ Bucket, Key }), this.#s3.within());
      if (answer.Metadata?.[TOKEN] === this.#token) return { etag: answer.ETag ?? '', isOther: false };
      return { isOther: true };
    } catch (error) {
      // Without an answer nothing is known, and the completion's own failure is what there is to tell.
      if (statusOf(error) === 404 || statusOf(error) === 403) return { isOther: false };
      throw this.#s3.failure(failure, this.key);
    }
  }

  async #explainCompletion(error: unknown, condition: 'absent' | undefined, isOther: boolean): Promise<Error> {
    const status = statusOf(error);
    const isGone = nameOf(error) === 'NoSuchUpload';
    if (status !== 412 && status !== 409 && !isGone) return this.#s3.failure(error, this.key);
    await this.abort();
    if (condition === 'absent' && (status === 412 || isOther)) return alreadyThere(this.#s3.url, this.key, error);
    if (isGone) return this.#s3.failure(error, this.key);
    const message = `${place(this.#s3.url, this.key)}: the upload lost a race against another write: start it anew`;
    return new SeawallError('unreachable', 'STORE_UPLOAD_RESTART', message, { key: this.key }, error);
  }

  /** Servers differ in what they say of a bad copy; the source itself tells. */
  async #explainCopy(error: unknown, source: string, range: CopyRange, etag: string): Promise<Error> {
    const status = statusOf(error);
    if (status === 412) return etagDiffers(this.#s3.url, source, etag, undefined, error);
    if (nameOf(error) === 'NoSuchUpload' || (status !== 400 && status !== 404 && status !== 416)) {
      return this.#s3.failure(error, source);
    }
    const info = await headS3(this.#s3, source);
    if (info === undefined) return noObject(this.#s3.url, source, { status }, error);
    if (placeRange(range, info.size) === undefined) return beyondObject(this.#s3.url, source, range, info.size);
    const { minCopySource } = S3_LIMITS;
    if (info.size < minCopySource) return sourceTooSmall(this.#s3.url, source, info.size, minCopySource);
    return this.#s3.failure(error, source);
  }
}

function noCopies(where: string, key: string): SeawallError {
  const message = `${where}: the store did not say that it copied a range of the object`;
  return new SeawallError('unsupported', 'STORE_NOT_IMPLEMENTED', message, { key });
}

async function abortS3(
  s3: S3Bucket,
  key: string,
  target: { Bucket: string; Key: string; UploadId: string },
): Promise<void> {
  try {
    await s3.client.send(new AbortMultipartUploadCommand(target), s3.within());
  } catch (error) {
    if (nameOf(error) !== 'NoSuchUpload') throw s3.failure(error, key);
  }
}

/** Multipart uploads that were neither completed nor aborted. */
export async function* unfinishedS3(s3: S3Bucket, prefix: string): AsyncGenerator<UnfinishedUpload> {
  const from: { KeyMarker?: string; UploadIdMarker?: string } = {};
  for (;;) {
    s3.assertOpen();
    const command = new ListMultipartUploadsCommand({
      Bucket: s3.bucket,
      Prefix: s3.fullPrefix(prefix),
      EncodingType: 'url',
      ...from,
    });
    const page = await s3.client.send(command, s3.within()).catch((error: unknown) => {
      throw s3.failure(error);
    });
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined) continue;
      const full = decoded(Key, page.EncodingType);
      if (!full.startsWith(s3.fullPrefix(prefix))) continue; // some servers take the prefix for a whole key, or ignore it
      const key = s3.relative(full);
      const abort = (): Promise<void> => abortS3(s3, key, { Bucket: s3.bucket, Key: full, UploadId });
      yield { key, id: UploadId, started: Initiated?.getTime() ?? 0, abort };
    }
    if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return;
    from.KeyMarker = decoded(page.NextKeyMarker, page.EncodingType);
    if (page.NextUploadIdMarker === undefined) delete from.UploadIdMarker;
    else from.UploadIdMarker = page.NextUploadIdMarker;
  }
}
