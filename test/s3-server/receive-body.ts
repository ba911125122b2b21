import { createHash } from 'node:crypto';
import { decodeAwsChunked } from './aws-chunked.ts';
import type { BodyStore, StoredBody } from './body-store.ts';
import {
  CHECKSUM_ALGORITHMS,
  checksumHeader,
  isWellFormedChecksum,
  startChecksum,
  type ChecksumAlgorithm,
  type RunningChecksum,
} from './checksum.ts';
import type { S3Request } from './request.ts';
import { S3Error } from './s3-error.ts';

const MAX_DOCUMENT_BYTES = 4 * 1024 ** 2;

/** S3's limit for a PutObject and for a part. */
export const MAX_BODY_BYTES = 5 * 1024 ** 3;

export interface Digests {
  /** Hexadecimal. */
  readonly md5: string;
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly value: string } | undefined;
}

/**
 * Reads the body of a request into `sink` and verifies everything that the client declared about it: length,
 * Content-MD5, a checksum in a header or a trailer, x-amz-content-sha256. If this throws, the content of the sink must
 * not be used.
 * @param wanted computes this checksum even if the client sent none
 */
async function consumeBody(
  request: S3Request,
  maxBytes: number,
  sink: (chunk: Buffer) => void | Promise<void>,
  wanted?: ChecksumAlgorithm,
): Promise<Digests> {
  const { headers } = request;
  const isChunked =
    /(^|,)\s*aws-chunked\s*(,|$)/.test(headers['content-encoding'] ?? '') ||
    (headers['x-amz-content-sha256'] ?? '').startsWith('STREAMING-');
  const declared = headers[isChunked ? 'x-amz-decoded-content-length' : 'content-length'];
  if (declared === undefined) {
    if (headers['transfer-encoding'] !== undefined || isChunked) throw new S3Error('MissingContentLength');
  } else if (Number(declared) > maxBytes) {
    throw new S3Error('EntityTooLarge', { ProposedSize: declared, MaxSizeAllowed: maxBytes });
  }

  const trailers = new Map<string, string>();
  const algorithm = declaredChecksum(headers) ?? wanted;
  const running: RunningChecksum | undefined = algorithm && startChecksum(algorithm);
  const md5 = createHash('md5');
  const signedSha256 = /^[0-9a-f]{64}$/.exec(headers['x-amz-content-sha256'] ?? '')?.[0];
  const sha256 = signedSha256 === undefined ? undefined : createHash('sha256');

  let size = 0;
  for await (const chunk of isChunked ? decodeAwsChunked(request.body, trailers) : request.body) {
    size += chunk.length;
    if (size > maxBytes) throw new S3Error('EntityTooLarge', { MaxSizeAllowed: maxBytes });
    md5.update(chunk);
    running?.update(chunk);
    sha256?.update(chunk);
    await sink(chunk);
  }

  if (declared !== undefined && size !== Number(declared)) throw new S3Error('IncompleteBody');
  if (sha256 && sha256.digest('hex') !== signedSha256) throw new S3Error('XAmzContentSHA256Mismatch');
  const digest = md5.digest();
  verifyContentMd5(headers['content-md5'], digest);
  const value = running?.digest().toString('base64');
  const checksum = algorithm && value !== undefined ? { algorithm, value } : undefined;
  if (checksum) {
    const name = checksumHeader(checksum.algorithm);
    verifyChecksum(checksum.algorithm, headers[name] ?? trailers.get(name), checksum.value);
  }
  return { md5: digest.toString('hex'), checksum };
}

function declaredChecksum(headers: S3Request['headers']): ChecksumAlgorithm | undefined {
  const trailing = headers['x-amz-trailer'] ?? '';
  const declared = CHECKSUM_ALGORITHMS.filter((algorithm) => {
    const name = checksumHeader(algorithm);
    return headers[name] !== undefined || trailing.split(',').some((entry) => entry.trim().toLowerCase() === name);
  });
  if (declared.length > 1) {
    const message = 'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.';
    throw new S3Error('InvalidRequest', {}, message);
  }
  return declared[0];
}

function verifyContentMd5(claimed: string | undefined, actual: Buffer): void {
  if (claimed === undefined) return;
  const bytes = Buffer.from(claimed, 'base64');
  if (bytes.length !== 16) throw new S3Error('InvalidDigest', { 'Content-MD5': claimed });
  if (!bytes.equals(actual)) {
    const fields = { ExpectedDigest: claimed, CalculatedDigest: actual.toString('base64') };
    throw new S3Error('BadDigest', fields, 'The Content-MD5 you specified did not match what we received.');
  }
}

export function verifyChecksum(algorithm: ChecksumAlgorithm, claimed: string | undefined, actual: string): void {
  if (claimed === undefined) return;
  if (!isWellFormedChecksum(algorithm, claimed)) {
    throw new S3Error('InvalidRequest', {}, `Value for ${checksumHeader(algorithm)} header is invalid.`);
  }
  if (claimed !== actual) {
    throw new S3Error('BadDigest', {}, `The ${algorithm} you specified did not match the calculated checksum.`);
  }
}

/** Reads a body into the store. If it is not what the client declared, nothing of it is kept. */
export async function receiveIntoStore(
  request: S3Request,
  bodies: BodyStore,
  wanted?: ChecksumAlgorithm,
): Promise<Digests & { readonly body: StoredBody }> {
  const writer = bodies.create();
  try {
    const digests = await consumeBody(request, MAX_BODY_BYTES, (chunk) => writer.write(chunk), wanted);
    return { ...digests, body: await writer.finish() };
  } catch (error) {
    await writer.discard();
    throw error;
  }
}

/** Reads a body that is a document, such as the list of parts of a CompleteMultipartUpload. */
export async function receiveText(request: S3Request): Promise<string> {
  const chunks: Buffer[] = [];
  // x-amz-checksum-* of a CompleteMultipartUpload is about the object, not about this document.
  const { headers } = request;
  const own =
    request.op === 'CompleteMultipartUpload'
      ? Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('x-amz-checksum-')))
      : headers;
  await consumeBody({ ...request, headers: own }, MAX_DOCUMENT_BYTES, (chunk) => void chunks.push(chunk));
  return Buffer.concat(chunks).toString('utf8');
}
