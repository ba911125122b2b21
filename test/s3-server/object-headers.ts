import type { Bucket } from './bucket.ts';
import { checksumHeader, type ObjectChecksum } from './checksum.ts';
import type { ObjectVersion, StoredObject } from './records.ts';
import { S3Error } from './s3-error.ts';
import type { XmlElement } from './xml.ts';

const KEPT_HEADERS = ['cache-control', 'content-disposition', 'content-language', 'content-type', 'expires'];
const MAX_METADATA_BYTES = 2048;

/**
 * The headers of a request that are kept with the object and sent back with it.
 * @throws {S3Error} MetadataTooLarge
 */
export function keptHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const kept: Record<string, string> = { 'content-type': 'binary/octet-stream' };
  let metadataBytes = 0;
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith('x-amz-meta-')) metadataBytes += name.length - 'x-amz-meta-'.length + value.length;
    if (name.startsWith('x-amz-meta-') || KEPT_HEADERS.includes(name)) kept[name] = value;
  }
  // aws-chunked says how the request was framed; it is not a property of the object.
  const encoding = (headers['content-encoding'] ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '' && entry !== 'aws-chunked');
  if (encoding.length > 0) kept['content-encoding'] = encoding.join(',');
  if (metadataBytes > MAX_METADATA_BYTES) throw new S3Error('MetadataTooLarge', { Size: metadataBytes });
  return kept;
}

export function quoted(etag: string): string {
  return `"${etag}"`;
}

export function versionHeader(bucket: Bucket, version: ObjectVersion): Record<string, string> {
  return bucket.versioning === 'Unversioned' ? {} : { 'x-amz-version-id': version.versionId };
}

export function checksumHeaders(checksum: ObjectChecksum | undefined): Record<string, string> {
  if (!checksum) return {};
  return { [checksumHeader(checksum.algorithm)]: checksum.value, 'x-amz-checksum-type': checksum.type };
}

export function checksumElements(checksum: ObjectChecksum | undefined): XmlElement[] {
  if (!checksum) return [];
  return [
    [`Checksum${checksum.algorithm}`, checksum.value],
    ['ChecksumType', checksum.type],
  ];
}

export function objectHeaders(bucket: Bucket, object: StoredObject): Record<string, string> {
  return {
    ...object.headers,
    etag: quoted(object.etag),
    'last-modified': new Date(object.lastModified).toUTCString(),
    'accept-ranges': 'bytes',
    ...(object.storageClass !== 'STANDARD' && { 'x-amz-storage-class': object.storageClass }),
    ...versionHeader(bucket, object),
  };
}

/** Times in documents: S3 knows objects to the second, and writes the milliseconds as zero. */
export function documentTime(time: number): string {
  return new Date(Math.floor(time / 1000) * 1000).toISOString();
}
