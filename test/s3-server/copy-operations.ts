import { copyRange } from './byte-range.ts';
import { checkCopySource, writeConditions } from './conditions.ts';
import { copyBytes } from './copy-bytes.ts';
import { findObject } from './find-object.ts';
import { committing, type Handler, type ServerState } from './handler.ts';
import { partNumberOf } from './multipart-operations.ts';
import { checksumElements, documentTime, keptHeaders, quoted, versionHeader } from './object-headers.ts';
import { MAX_BODY_BYTES } from './receive-body.ts';
import type { StoredObject } from './records.ts';
import type { S3Request } from './request.ts';
import { S3Error } from './s3-error.ts';
import { writeXml } from './xml.ts';

/** S3 copies a range only of sources greater than this. */
const LEAST_RANGE_SOURCE_BYTES = 5 * 1024 ** 2;

function copySource(state: ServerState, request: S3Request): { bucket: string; object: StoredObject } {
  const header = request.headers['x-amz-copy-source'] ?? '';
  const [, encodedPath = '', versionId] = /^\/?(.*?)(?:\?versionId=(.*))?$/s.exec(header) ?? [];
  let path: string;
  try {
    path = decodeURIComponent(encodedPath);
  } catch (error) {
    throw new S3Error('InvalidArgument', { ArgumentName: 'x-amz-copy-source' }, undefined, {}, { cause: error });
  }
  const slash = path.indexOf('/');
  const bucket = path.slice(0, Math.max(0, slash));
  const key = path.slice(slash + 1);
  if (bucket === '' || key === '') {
    const message = 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey';
    throw new S3Error('InvalidArgument', { ArgumentName: 'x-amz-copy-source', ArgumentValue: header }, message);
  }
  const action = versionId === undefined ? 's3:GetObject' : 's3:GetObjectVersion';
  if (!request.may(action, bucket, key)) throw new S3Error('AccessDenied');
  const object = findObject(state, request.may, bucket, key, versionId);
  checkCopySource(request.headers, object);
  return { bucket, object };
}

export const copyObject: Handler = async (state, request) => {
  const { headers, key } = request;
  const bucket = state.catalog.bucket(request.bucket);
  const conditions = writeConditions(headers);
  const source = copySource(state, request);
  const replacesMetadata = headers['x-amz-metadata-directive'] === 'REPLACE';
  const storageClass = headers['x-amz-storage-class'] ?? 'STANDARD';
  const isItself = source.bucket === request.bucket && source.object === bucket.current(key);
  if (isItself && !replacesMetadata && storageClass === source.object.storageClass) {
    const message =
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's " +
      'metadata, storage class, website redirect location or encryption attributes.';
    throw new S3Error('InvalidRequest', {}, message);
  }
  if (source.object.body.size > MAX_BODY_BYTES) {
    const message = 'The specified copy source is larger than the maximum allowable size for a copy source: 5368709120';
    throw new S3Error('InvalidRequest', {}, message);
  }
  const algorithm = source.object.checksum?.algorithm;
  const copied = await copyBytes(state.bodies, [source.object], { md5: true, checksum: algorithm });
  const draft = {
    key,
    body: copied.body,
    etag: copied.md5,
    headers: replacesMetadata ? keptHeaders(headers) : source.object.headers,
    storageClass,
    ...(algorithm &&
      copied.checksum !== undefined && {
        checksum: { algorithm, value: copied.checksum, type: 'FULL_OBJECT' as const },
      }),
  };
  const object = committing(state, copied.body, () =>
    state.catalog.create('CopyObject', request.bucket, draft, conditions),
  );
  return {
    status: 200,
    headers: versionHeader(bucket, object),
    body: writeXml([
      'CopyObjectResult',
      [
        ['LastModified', documentTime(object.lastModified)],
        ['ETag', quoted(object.etag)],
        ...checksumElements(object.checksum),
      ],
    ]),
  };
};

export const uploadPartCopy: Handler = async (state, request) => {
  const { bucket, key, query, headers } = request;
  const uploadId = query.get('uploadId') ?? '';
  const partNumber = partNumberOf(query);
  const upload = state.catalog.upload(bucket, key, uploadId);
  const { object } = copySource(state, request);
  const rangeHeader = headers['x-amz-copy-source-range'];
  if (rangeHeader !== undefined && object.body.size <= LEAST_RANGE_SOURCE_BYTES) {
    const message = 'The specified copy source is not supported as a byte-range copy source';
    throw new S3Error('InvalidRequest', { SourceSize: object.body.size }, message);
  }
  const range = rangeHeader === undefined ? undefined : copyRange(rangeHeader, object.body.size);
  if ((range ? range.end - range.start : object.body.size) > MAX_BODY_BYTES) {
    throw new S3Error('InvalidRequest', {}, 'The specified copy source is larger than a part may be: 5368709120');
  }
  const algorithm = upload.record.checksum?.algorithm;
  const source = { body: object.body, ...(range && { range }) };
  const copied = await copyBytes(state.bodies, [source], { md5: true, checksum: algorithm });
  const part = await upload.inTurn(async () =>
    committing(state, copied.body, () => {
      state.catalog.upload(bucket, key, uploadId);
      return state.catalog.addPart(bucket, uploadId, {
        partNumber,
        body: copied.body,
        etag: copied.md5,
        ...(copied.checksum !== undefined && { checksum: copied.checksum }),
      });
    }),
  );
  return {
    status: 200,
    body: writeXml([
      'CopyPartResult',
      [
        ['LastModified', documentTime(part.lastModified)],
        ['ETag', quoted(part.etag)],
        [`Checksum${algorithm ?? ''}`, part.checksum],
      ],
    ]),
  };
};
