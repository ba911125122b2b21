/** The failures that every backend words in the same way. `url` is the store's, `key` is relative to it. */
import { SeawallError } from '../terms/errors.ts';
import { describeRange } from './keys.ts';
import type { ByteRange } from './store.ts';

/** Where an object is, for messages: `<store url>/<key>`. */
export function place(url: string, key: string): string {
  return url.endsWith('/') ? `${url}${key}` : `${url}/${key}`;
}

/** The code of a missing object. */
export const NO_OBJECT = 'STORE_NO_OBJECT';

export function noObject(url: string, key: string, facts: { status?: number } = {}, cause?: unknown): SeawallError {
  return new SeawallError('missing', NO_OBJECT, `${place(url, key)}: no such object`, { key, ...facts }, cause);
}

export function alreadyThere(url: string, key: string, cause?: unknown): SeawallError {
  const message = `${place(url, key)}: not written, because an object with other bytes is already there`;
  return new SeawallError('conflict', 'STORE_CONDITION', message, { key, expected: 'absent' }, cause);
}

export function etagDiffers(
  url: string,
  key: string,
  expected: string,
  actual?: string,
  cause?: unknown,
): SeawallError {
  const found = actual === undefined ? 'it is another one, or the object is missing' : `it is ${actual}`;
  const message = `${place(url, key)}: not written, because the ETag was expected to be ${expected}, but ${found}: another writer was faster`;
  const facts = { key, expected, ...(actual === undefined ? {} : { actual }) };
  return new SeawallError('conflict', 'STORE_CONDITION', message, facts, cause);
}

export function changedWhileRead(url: string, key: string, etag: string, cause?: unknown): SeawallError {
  const message = `${place(url, key)}: the object was replaced while it was being read; read it again`;
  return new SeawallError('conflict', 'STORE_OBJECT_CHANGED', message, { key, expected: etag }, cause);
}

export function beyondObject(url: string, key: string, range: ByteRange, size: number): SeawallError {
  const message = `${place(url, key)}: ${describeRange(range)} reach past the end of the object, which has ${size} bytes`;
  const expected = 'suffix' in range ? range.suffix : range.offset + range.length;
  return new SeawallError('corrupt', 'RANGE_BEYOND_OBJECT', message, { key, expected, actual: size });
}

export function sourceTooSmall(url: string, key: string, size: number, smallest: number): SeawallError {
  const message = `${place(url, key)}: ranges can be copied only from objects of at least ${smallest} bytes; it has ${size}`;
  return new SeawallError('unsupported', 'STORE_COPY_SOURCE_SMALL', message, { key, expected: smallest, actual: size });
}

export function noUpload(url: string, key: string, cause?: unknown): SeawallError {
  const message = `${place(url, key)}: the upload is gone: it was aborted elsewhere, or expired; start it again`;
  return new SeawallError('missing', 'STORE_NO_UPLOAD', message, { key }, cause);
}

/** Misuse, not a failure of the store. */
export function storeClosed(url: string): TypeError {
  return new TypeError(`the store ${url} was closed`);
}
