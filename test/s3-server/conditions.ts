import type { StoredObject } from './records.ts';
import { S3Error } from './s3-error.ts';

type Headers = Readonly<Record<string, string>>;

/** Conditions on the current object under which a write is carried out. */
export interface WriteConditions {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
}

export function writeConditions(headers: Headers): WriteConditions {
  const ifMatch = headers['if-match'];
  const ifNoneMatch = headers['if-none-match'];
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') {
    throw new S3Error('NotImplemented', { Header: 'If-None-Match' });
  }
  return { ...(ifMatch !== undefined && { ifMatch }), ...(ifNoneMatch !== undefined && { ifNoneMatch }) };
}

export function isConditionalWrite(headers: Headers): boolean {
  return headers['if-match'] !== undefined || headers['if-none-match'] !== undefined;
}

function namesEtag(list: string, etag: string): boolean {
  return list.split(',').some((entry) => {
    const wanted = entry.trim().replace(/^W\//, '').replaceAll('"', '');
    return wanted === '*' || wanted === etag;
  });
}

function failed(condition: string): S3Error {
  return new S3Error('PreconditionFailed', { Condition: condition });
}

export function checkWriteConditions(
  conditions: WriteConditions,
  key: string,
  current: StoredObject | undefined,
): void {
  if (conditions.ifNoneMatch !== undefined && current) throw failed('If-None-Match');
  if (conditions.ifMatch === undefined) return;
  if (!current) {
    // S3 distinguishes "the object is another one" (412) from "there is no object" (404).
    throw conditions.ifMatch === '*' ? failed('If-Match') : new S3Error('NoSuchKey', { Key: key });
  }
  if (!namesEtag(conditions.ifMatch, current.etag)) throw failed('If-Match');
}

/** HTTP dates have whole seconds; an object modified within that second is not newer than it. */
function isModifiedSince(object: StoredObject, date: string): boolean {
  return Math.floor(object.lastModified / 1000) * 1000 > Date.parse(date);
}

/** Evaluates the conditions of a GET or HEAD, or with a prefix those of a copy on its source. */
export function readOutcome(headers: Headers, object: StoredObject, prefix = ''): 'send' | 'not-modified' {
  const ifMatch = headers[`${prefix}if-match`];
  const ifNoneMatch = headers[`${prefix}if-none-match`];
  const since = headers[`${prefix}if-modified-since`];
  const unmodifiedSince = headers[`${prefix}if-unmodified-since`];
  if (ifMatch !== undefined) {
    if (!namesEtag(ifMatch, object.etag)) throw failed(`${prefix}If-Match`);
  } else if (unmodifiedSince !== undefined && isModifiedSince(object, unmodifiedSince)) {
    throw failed(`${prefix}If-Unmodified-Since`);
  }
  if (ifNoneMatch !== undefined) return namesEtag(ifNoneMatch, object.etag) ? 'not-modified' : 'send';
  return since !== undefined && !isModifiedSince(object, since) ? 'not-modified' : 'send';
}

/** A copy has no "not modified": what a GET answers with 304 is a 412 for a copy. */
export function checkCopySource(headers: Headers, object: StoredObject): void {
  const prefix = 'x-amz-copy-source-';
  if (readOutcome(headers, object, prefix) === 'not-modified') throw failed(`${prefix}If-None-Match`);
}
