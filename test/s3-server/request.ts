import type { IncomingMessage } from 'node:http';
import type { OpenBody } from './body-store.ts';
import { operationOf, type OperationName } from './operation.ts';
import { S3Error } from './s3-error.ts';

const MAX_KEY_BYTES = 1024;

/** The target of a request, read from its first lines alone. */
export interface RequestTarget {
  readonly op: OperationName;
  readonly method: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: URLSearchParams;
  /** By lower-case name; those that a presigned URL carries in its query are among them. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface S3Request extends RequestTarget {
  /** The body as it is on the wire. */
  readonly body: AsyncIterable<Buffer>;
  /** Whether the caller may do this as well; operations that touch a second object ask. */
  readonly may: (action: string, bucket: string, key: string) => boolean;
}

export interface S3Response {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A document, or the range [start, end) of a stored body. */
  readonly body?: string | { readonly stored: OpenBody; readonly start: number; readonly end: number };
}

/** Presigned URLs may move headers into the query; these query names of theirs are not headers. */
const SIGNATURE_QUERY = /^x-amz-(algorithm|credential|date|expires|signedheaders|signature|security-token)$/i;

function decodePath(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new S3Error('InvalidURI', { URI: text }, undefined, {}, { cause: error });
  }
}

/**
 * Reads the target of a path-style request: `/bucket/key?query`. The path is not normalised, because keys may contain
 * `..`.
 */
export function readTarget(message: IncomingMessage): RequestTarget {
  const url = message.url ?? '/';
  const [path = '/', search = ''] = url.split(/\?(.*)/s);
  const [, rawBucket = '', rawKey = ''] = /^\/([^/]*)\/?(.*)$/s.exec(path) ?? [];
  const bucket = decodePath(rawBucket);
  const key = decodePath(rawKey);
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) throw new S3Error('KeyTooLongError', { MaxSizeAllowed: MAX_KEY_BYTES });
  const query = new URLSearchParams(search);
  const headers: Record<string, string> = {};
  for (const [name, value] of query) {
    if (/^x-amz-/i.test(name) && !SIGNATURE_QUERY.test(name)) headers[name.toLowerCase()] = value;
  }
  for (const [name, value] of Object.entries(message.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(',') : value;
  }
  const method = message.method ?? 'GET';
  return { op: operationOf(method, bucket, key, query, headers), method, bucket, key, query, headers };
}

/**
 * Reads a number of a query.
 * @throws {S3Error} InvalidArgument if it is not an integer from `least` to `most`
 */
export function queryInteger(
  query: URLSearchParams,
  name: string,
  range: { readonly least: number; readonly most: number; readonly otherwise: number },
): number {
  const text = query.get(name);
  if (text === null || text === '') return range.otherwise;
  const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (!(value >= range.least && value <= range.most)) {
    throw new S3Error(
      'InvalidArgument',
      { ArgumentName: name, ArgumentValue: text },
      `${name} must be an integer between ${String(range.least)} and ${String(range.most)}`,
    );
  }
  return value;
}
