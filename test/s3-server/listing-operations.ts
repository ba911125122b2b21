import type { Bucket, Upload } from './bucket.ts';
import type { Handler } from './handler.ts';
import { listPage, type PageRequest } from './listing-page.ts';
import { documentTime, quoted } from './object-headers.ts';
import type { ObjectVersion, StoredObject } from './records.ts';
import { queryInteger } from './request.ts';
import { S3Error } from './s3-error.ts';
import { writeXml, type XmlElement } from './xml.ts';

const MAX_ENTRIES = 1000;

/** What the four listings have in common: prefix, delimiter, page size and the encoding of keys. */
function listingQuery(query: URLSearchParams, maxName: string) {
  const encoding = query.get('encoding-type');
  if (encoding !== null && encoding !== 'url') {
    const argument = { ArgumentName: 'encoding-type', ArgumentValue: encoding };
    throw new S3Error('InvalidArgument', argument, 'Invalid Encoding Method specified in Request');
  }
  const asked = queryInteger(query, maxName, { least: 0, most: 2 ** 31 - 1, otherwise: MAX_ENTRIES });
  return {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? '',
    maxEntries: Math.min(asked, MAX_ENTRIES),
    encoding: encoding ?? undefined,
    /** Form encoding with slashes left alone, as S3 does it. */
    encode: (text: string): string =>
      encoding === null ? text : encodeURIComponent(text).replaceAll('%2F', '/').replaceAll('%20', '+'),
  };
}

type ListingQuery = ReturnType<typeof listingQuery>;

function prefixElements(prefixes: readonly string[], encode: ListingQuery['encode']): XmlElement[] {
  return prefixes.map((prefix) => ['CommonPrefixes', [['Prefix', encode(prefix)]]]);
}

function objectElements(objects: readonly StoredObject[], encode: ListingQuery['encode']): XmlElement[] {
  return objects.map((object) => [
    'Contents',
    [
      ['Key', encode(object.key)],
      ['LastModified', documentTime(object.lastModified)],
      ['ETag', quoted(object.etag)],
      ['ChecksumAlgorithm', object.checksum?.algorithm],
      ['ChecksumType', object.checksum?.type],
      ['Size', object.body.size],
      ['StorageClass', object.storageClass],
    ],
  ]);
}

/** None for a key whose newest version is a delete marker. */
function currentObjects(bucket: Bucket, key: string): StoredObject[] {
  const object = bucket.current(key);
  return object ? [object] : [];
}

/** Continuation tokens are opaque to clients; they hold the last entry of the page before. */
function tokenOf(marker: string): string {
  return Buffer.from(`1${marker}`).toString('base64url');
}

function markerOf(token: string): string {
  const text = Buffer.from(token, 'base64url').toString('utf8');
  if (text.startsWith('1')) return text.slice(1);
  const argument = { ArgumentName: 'continuation-token', ArgumentValue: token };
  throw new S3Error('InvalidArgument', argument, 'The continuation token provided is incorrect');
}

export const listObjectsV2: Handler = ({ catalog }, { bucket: name, query }) => {
  const bucket = catalog.bucket(name);
  const asked = listingQuery(query, 'max-keys');
  const token = query.get('continuation-token');
  const startAfter = query.get('start-after');
  const page = listPage(bucket.versions, {
    ...asked,
    marker: token === null ? (startAfter ?? '') : markerOf(token),
    markerMayBePrefix: token !== null,
    itemsOf: (key) => currentObjects(bucket, key),
    idOf: () => '',
  } satisfies PageRequest<StoredObject>);
  return {
    status: 200,
    body: writeXml([
      'ListBucketResult',
      [
        ['Name', name],
        ['Prefix', asked.encode(asked.prefix)],
        ['StartAfter', startAfter === null ? undefined : asked.encode(startAfter)],
        ['ContinuationToken', token ?? undefined],
        ['NextContinuationToken', page.next && tokenOf(page.next.marker)],
        ['KeyCount', page.items.length + page.commonPrefixes.length],
        ['MaxKeys', asked.maxEntries],
        ['Delimiter', asked.delimiter === '' ? undefined : asked.encode(asked.delimiter)],
        ['EncodingType', asked.encoding],
        ['IsTruncated', page.next !== undefined],
        ...objectElements(page.items, asked.encode),
        ...prefixElements(page.commonPrefixes, asked.encode),
      ],
    ]),
  };
};

/** The first version of the listing, which older clients still use. */
export const listObjects: Handler = ({ catalog }, { bucket: name, query }) => {
  const bucket = catalog.bucket(name);
  const asked = listingQuery(query, 'max-keys');
  const marker = query.get('marker') ?? '';
  const page = listPage(bucket.versions, {
    ...asked,
    marker,
    markerMayBePrefix: true,
    itemsOf: (key) => currentObjects(bucket, key),
    idOf: () => '',
  } satisfies PageRequest<StoredObject>);
  // S3 names the next marker only with a delimiter; without one it is the last key, which the client has.
  const nextMarker = asked.delimiter === '' ? undefined : page.next?.marker;
  return {
    status: 200,
    body: writeXml([
      'ListBucketResult',
      [
        ['Name', name],
        ['Prefix', asked.encode(asked.prefix)],
        ['Marker', asked.encode(marker)],
        ['NextMarker', nextMarker === undefined ? undefined : asked.encode(nextMarker)],
        ['MaxKeys', asked.maxEntries],
        ['Delimiter', asked.delimiter === '' ? undefined : asked.encode(asked.delimiter)],
        ['EncodingType', asked.encoding],
        ['IsTruncated', page.next !== undefined],
        ...objectElements(page.items, asked.encode),
        ...prefixElements(page.commonPrefixes, asked.encode),
      ],
    ]),
  };
};

export const listObjectVersions: Handler = ({ catalog }, { bucket: name, query }) => {
  const bucket = catalog.bucket(name);
  const asked = listingQuery(query, 'max-keys');
  const markerId = query.get('version-id-marker');
  const page = listPage(bucket.versions, {
    ...asked,
    marker: query.get('key-marker') ?? '',
    ...(markerId !== null && { markerId }),
    markerMayBePrefix: true,
    itemsOf: (key) => bucket.versions.get(key) ?? [],
    idOf: (version) => version.versionId,
  } satisfies PageRequest<ObjectVersion>);
  return {
    status: 200,
    body: writeXml([
      'ListVersionsResult',
      [
        ['Name', name],
        ['Prefix', asked.encode(asked.prefix)],
        ['KeyMarker', asked.encode(query.get('key-marker') ?? '')],
        ['VersionIdMarker', markerId ?? ''],
        ['NextKeyMarker', page.next && asked.encode(page.next.marker)],
        ['NextVersionIdMarker', page.next?.markerId],
        ['MaxKeys', asked.maxEntries],
        ['Delimiter', asked.delimiter === '' ? undefined : asked.encode(asked.delimiter)],
        ['EncodingType', asked.encoding],
        ['IsTruncated', page.next !== undefined],
        ...page.items.map((version): XmlElement => {
          const common: XmlElement[] = [
            ['Key', asked.encode(version.key)],
            ['VersionId', version.versionId],
            ['IsLatest', bucket.versions.get(version.key)?.[0] === version],
            ['LastModified', documentTime(version.lastModified)],
          ];
          if (version.kind === 'delete-marker') return ['DeleteMarker', common];
          return [
            'Version',
            [
              ...common,
              ['ETag', quoted(version.etag)],
              ['Size', version.body.size],
              ['StorageClass', version.storageClass],
            ],
          ];
        }),
        ...prefixElements(page.commonPrefixes, asked.encode),
      ],
    ]),
  };
};

export const listMultipartUploads: Handler = ({ catalog }, { bucket: name, query }) => {
  const uploads = catalog.bucket(name).uploadsByKey();
  const asked = listingQuery(query, 'max-uploads');
  const keyMarker = query.get('key-marker') ?? '';
  // S3 ignores an upload marker that comes without a key marker.
  const markerId = keyMarker === '' ? null : query.get('upload-id-marker');
  const page = listPage(uploads, {
    ...asked,
    marker: keyMarker,
    ...(markerId !== null && { markerId }),
    markerMayBePrefix: true,
    itemsOf: (key) => uploads.get(key) ?? [],
    idOf: (upload) => upload.record.uploadId,
  } satisfies PageRequest<Upload>);
  return {
    status: 200,
    body: writeXml([
      'ListMultipartUploadsResult',
      [
        ['Bucket', name],
        ['KeyMarker', asked.encode(keyMarker)],
        ['UploadIdMarker', markerId ?? ''],
        ['NextKeyMarker', page.next && asked.encode(page.next.marker)],
        ['NextUploadIdMarker', page.next?.markerId],
        ['Prefix', asked.encode(asked.prefix)],
        ['Delimiter', asked.delimiter === '' ? undefined : asked.encode(asked.delimiter)],
        ['MaxUploads', asked.maxEntries],
        ['EncodingType', asked.encoding],
        ['IsTruncated', page.next !== undefined],
        ...page.items.map(({ record }): XmlElement => [
          'Upload',
          [
            ['Key', asked.encode(record.key)],
            ['UploadId', record.uploadId],
            ['StorageClass', record.storageClass],
            ['Initiated', documentTime(record.initiated)],
            ['ChecksumAlgorithm', record.checksum?.algorithm],
            ['ChecksumType', record.checksum?.type],
          ],
        ]),
        ...prefixElements(page.commonPrefixes, asked.encode),
      ],
    ]),
  };
};
