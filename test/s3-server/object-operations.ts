import { requestedRange } from './byte-range.ts';
import { readOutcome, writeConditions } from './conditions.ts';
import { findObject } from './find-object.ts';
import { committing, type Handler } from './handler.ts';
import { checksumHeaders, keptHeaders, objectHeaders, quoted, versionHeader } from './object-headers.ts';
import { receiveIntoStore, receiveText } from './receive-body.ts';
import { S3Error } from './s3-error.ts';
import { childrenNamed, childText, readXml, writeXml, type XmlElement } from './xml.ts';

const MAX_KEYS_TO_DELETE = 1000;

export const putObject: Handler = async (state, request) => {
  const bucket = state.catalog.bucket(request.bucket);
  const conditions = writeConditions(request.headers);
  const kept = keptHeaders(request.headers);
  const { body, md5, checksum } = await receiveIntoStore(request, state.bodies);
  const draft = {
    key: request.key,
    body,
    etag: md5,
    headers: kept,
    storageClass: request.headers['x-amz-storage-class'] ?? 'STANDARD',
    ...(checksum && { checksum: { ...checksum, type: 'FULL_OBJECT' as const } }),
  };
  const object = committing(state, body, () => state.catalog.create('PutObject', request.bucket, draft, conditions));
  return {
    status: 200,
    headers: { etag: quoted(object.etag), ...checksumHeaders(object.checksum), ...versionHeader(bucket, object) },
  };
};

export const getObject: Handler = (state, request) => {
  const { headers, query } = request;
  // Reading an object by its parts needs their sizes, which are not kept.
  if (query.has('partNumber')) throw new S3Error('NotImplemented', { Query: 'partNumber' });
  const object = findObject(state, request.may, request.bucket, request.key, query.get('versionId'));
  const sent = objectHeaders(state.catalog.bucket(request.bucket), object);
  if (readOutcome(headers, object) === 'not-modified') return { status: 304, headers: sent };
  for (const [name, value] of query) {
    const overridden = /^response-(cache-control|content-(?:type|language|disposition|encoding)|expires)$/.exec(
      name,
    )?.[1];
    if (overridden !== undefined) sent[overridden] = value;
  }
  const { size } = object.body;
  const range = requestedRange(headers['range'], size);
  const { start, end } = range ?? { start: 0, end: size };
  if (range) sent['content-range'] = `bytes ${String(start)}-${String(end - 1)}/${String(size)}`;
  else if (headers['x-amz-checksum-mode'] === 'ENABLED') Object.assign(sent, checksumHeaders(object.checksum));
  sent['content-length'] = String(end - start);
  const status = range ? 206 : 200;
  if (request.op === 'HeadObject') return { status, headers: sent };
  return { status, headers: sent, body: { stored: state.bodies.open(object.body), start, end } };
};

export const deleteObject: Handler = (state, request) => {
  const { bucket, key } = request;
  const conditions = writeConditions(request.headers);
  const versionId = request.query.get('versionId') ?? undefined;
  const deleted = state.catalog.delete('DeleteObject', bucket, key, versionId, conditions);
  if (!deleted || state.catalog.bucket(bucket).versioning === 'Unversioned') return { status: 204 };
  const { version } = deleted;
  return {
    status: 204,
    headers: {
      'x-amz-version-id': version.versionId,
      ...(version.kind === 'delete-marker' && { 'x-amz-delete-marker': 'true' }),
    },
  };
};

export const deleteObjects: Handler = async (state, request) => {
  state.catalog.bucket(request.bucket);
  const isChecked = Object.keys(request.headers).some((name) =>
    /^(content-md5|x-amz-trailer|x-amz-checksum-.*)$/.test(name),
  );
  if (!isChecked) {
    const message = 'Missing required header for this request: Content-MD5 OR x-amz-checksum-*';
    throw new S3Error('InvalidRequest', {}, message);
  }
  const root = readXml(await receiveText(request));
  const entries = root?.name === 'Delete' ? childrenNamed(root, 'Object') : [];
  if (!root || entries.length === 0 || entries.length > MAX_KEYS_TO_DELETE) throw new S3Error('MalformedXML');
  const isQuiet = childText(root, 'Quiet') === 'true';
  const results: XmlElement[] = [];
  for (const entry of entries) {
    const key = childText(entry, 'Key') ?? '';
    const versionId = childText(entry, 'VersionId');
    const ifMatch = childText(entry, 'ETag');
    const named: XmlElement[] = [
      ['Key', key],
      ['VersionId', versionId],
    ];
    try {
      const action = versionId === undefined ? 's3:DeleteObject' : 's3:DeleteObjectVersion';
      if (!request.may(action, request.bucket, key)) throw new S3Error('AccessDenied');
      const conditions = ifMatch === undefined ? {} : { ifMatch };
      const deleted = state.catalog.delete('DeleteObjects', request.bucket, key, versionId, conditions);
      const isMarker = deleted?.version.kind === 'delete-marker';
      const marker: XmlElement[] = isMarker
        ? [
            ['DeleteMarker', true],
            ['DeleteMarkerVersionId', deleted.version.versionId],
          ]
        : [];
      if (!isQuiet) results.push(['Deleted', [...named, ...marker]]);
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      results.push(['Error', [...named, ['Code', error.code], ['Message', error.message]]]);
    }
  }
  return { status: 200, body: writeXml(['DeleteResult', results]) };
};
