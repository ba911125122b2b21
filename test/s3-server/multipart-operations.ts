import { createHash } from 'node:crypto';
import type { Upload } from './bucket.ts';
import {
  checksumHeader,
  compositeChecksum,
  isChecksumAlgorithm,
  type ChecksumAlgorithm,
  type ObjectChecksum,
} from './checksum.ts';
import { checkWriteConditions, writeConditions } from './conditions.ts';
import { copyBytes } from './copy-bytes.ts';
import { committing, type Handler } from './handler.ts';
import { checksumElements, documentTime, keptHeaders, quoted, versionHeader } from './object-headers.ts';
import { receiveIntoStore, receiveText, verifyChecksum } from './receive-body.ts';
import type { UploadedPart, UploadRecord } from './records.ts';
import { queryInteger, type S3Request } from './request.ts';
import { S3Error } from './s3-error.ts';
import { childrenNamed, childText, readXml, writeXml } from './xml.ts';

const MAX_PARTS = 10_000;
/** Of every part but the last. */
const LEAST_PART_BYTES = 5 * 1024 ** 2;

export function partNumberOf(query: URLSearchParams): number {
  return queryInteger(query, 'partNumber', { least: 1, most: MAX_PARTS, otherwise: NaN });
}

function declaredChecksum(headers: S3Request['headers']): UploadRecord['checksum'] {
  const algorithm = headers['x-amz-checksum-algorithm']?.toUpperCase();
  if (algorithm === undefined) return undefined;
  if (!isChecksumAlgorithm(algorithm)) {
    throw new S3Error('InvalidRequest', {}, 'Checksum algorithm provided is unsupported.');
  }
  const isCrc = algorithm.startsWith('CRC');
  const type = headers['x-amz-checksum-type'] ?? (algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE');
  const isKnown = type === 'FULL_OBJECT' ? isCrc : type === 'COMPOSITE' && algorithm !== 'CRC64NVME';
  if (!isKnown || (type !== 'FULL_OBJECT' && type !== 'COMPOSITE')) {
    const message = `The ${type} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`;
    throw new S3Error('InvalidRequest', {}, message);
  }
  return { algorithm, type };
}

export const createMultipartUpload: Handler = ({ catalog }, { bucket, key, headers }) => {
  catalog.bucket(bucket);
  const checksum = declaredChecksum(headers);
  const upload = catalog.startUpload(bucket, {
    key,
    headers: keptHeaders(headers),
    storageClass: headers['x-amz-storage-class'] ?? 'STANDARD',
    ...(checksum && { checksum }),
  });
  return {
    status: 200,
    headers: checksum ? { 'x-amz-checksum-algorithm': checksum.algorithm, 'x-amz-checksum-type': checksum.type } : {},
    body: writeXml([
      'InitiateMultipartUploadResult',
      [
        ['Bucket', bucket],
        ['Key', key],
        ['UploadId', upload.uploadId],
      ],
    ]),
  };
};

export const uploadPart: Handler = async (state, request) => {
  const { bucket, key, query } = request;
  const uploadId = query.get('uploadId') ?? '';
  const partNumber = partNumberOf(query);
  const upload = state.catalog.upload(bucket, key, uploadId);
  const expected = upload.record.checksum?.algorithm;
  const { body, md5, checksum } = await receiveIntoStore(request, state.bodies, expected);
  const part = await upload.inTurn(async () =>
    committing(state, body, () => {
      if (expected !== undefined && checksum && checksum.algorithm !== expected)
        throw checksumMismatch(expected, checksum);
      state.catalog.upload(bucket, key, uploadId);
      return state.catalog.addPart(bucket, uploadId, {
        partNumber,
        body,
        etag: md5,
        ...(expected !== undefined && checksum && { checksum: checksum.value }),
      });
    }),
  );
  return {
    status: 200,
    headers: { etag: quoted(part.etag), ...(checksum && { [checksumHeader(checksum.algorithm)]: checksum.value }) },
  };
};

function checksumMismatch(expected: ChecksumAlgorithm, actual: { algorithm: ChecksumAlgorithm }): S3Error {
  const message =
    `Checksum Type mismatch occurred, expected checksum Type: ${expected.toLowerCase()}, ` +
    `actual checksum Type: ${actual.algorithm.toLowerCase()}`;
  return new S3Error('InvalidRequest', {}, message);
}

export const listParts: Handler = ({ catalog }, { bucket, key, query }) => {
  const upload = catalog.upload(bucket, key, query.get('uploadId') ?? '');
  const marker = queryInteger(query, 'part-number-marker', { least: 0, most: 2 ** 31 - 1, otherwise: 0 });
  const most = queryInteger(query, 'max-parts', { least: 0, most: 2 ** 31 - 1, otherwise: 1000 });
  const following = upload.partsInOrder().filter((part) => part.partNumber > marker);
  const parts = following.slice(0, Math.min(most, 1000));
  const { checksum, storageClass, uploadId } = upload.record;
  return {
    status: 200,
    body: writeXml([
      'ListPartsResult',
      [
        ['Bucket', bucket],
        ['Key', key],
        ['UploadId', uploadId],
        ['StorageClass', storageClass],
        ['PartNumberMarker', marker],
        ['NextPartNumberMarker', parts.at(-1)?.partNumber ?? 0],
        ['MaxParts', Math.min(most, 1000)],
        ['IsTruncated', parts.length < following.length],
        ['ChecksumAlgorithm', checksum?.algorithm],
        ['ChecksumType', checksum?.type],
        ...parts.map(
          (part) =>
            [
              'Part',
              [
                ['PartNumber', part.partNumber],
                ['LastModified', documentTime(part.lastModified)],
                ['ETag', quoted(part.etag)],
                ['Size', part.body.size],
                [`Checksum${checksum?.algorithm ?? ''}`, part.checksum],
              ],
            ] as const,
        ),
      ],
    ]),
  };
};

export const abortMultipartUpload: Handler = async ({ catalog }, { bucket, key, query }) => {
  const uploadId = query.get('uploadId') ?? '';
  return catalog.upload(bucket, key, uploadId).inTurn(async () => {
    catalog.upload(bucket, key, uploadId);
    catalog.abortUpload(bucket, uploadId);
    return { status: 204 };
  });
};

export const completeMultipartUpload: Handler = async (state, request) => {
  const { bucket: bucketName, key, headers } = request;
  const { catalog, bodies } = state;
  const uploadId = request.query.get('uploadId') ?? '';
  const conditions = writeConditions(headers);
  const document = await receiveText(request);
  return catalog.upload(bucketName, key, uploadId).inTurn(async () => {
    const upload = catalog.upload(bucketName, key, uploadId);
    const bucket = catalog.bucket(bucketName);
    const parts = chosenParts(upload, document);
    const size = parts.reduce((sum, part) => sum + part.body.size, 0);
    const expectedSize = headers['x-amz-mp-object-size'];
    if (expectedSize !== undefined && Number(expectedSize) !== size) {
      const message = `The provided 'x-amz-mp-object-size' header value ${expectedSize} does not match what was computed: ${String(size)}`;
      throw new S3Error('InvalidRequest', {}, message);
    }
    // Checked again when the object is made. Checking here saves joining parts that will not become an object.
    checkWriteConditions(conditions, key, bucket.current(key));

    const declared = upload.record.checksum;
    const joined = await copyBytes(bodies, parts, {
      md5: false,
      checksum: declared?.type === 'FULL_OBJECT' ? declared.algorithm : undefined,
    });
    const object = committing(state, joined.body, () => {
      const checksum = declared && objectChecksum(declared, parts, joined.checksum);
      if (checksum?.type === 'FULL_OBJECT') {
        verifyChecksum(checksum.algorithm, headers[checksumHeader(checksum.algorithm)], checksum.value);
      }
      const draft = {
        key,
        body: joined.body,
        etag: multipartEtag(parts),
        headers: upload.record.headers,
        storageClass: upload.record.storageClass,
        ...(checksum && { checksum }),
      };
      return catalog.create('CompleteMultipartUpload', bucketName, draft, conditions, uploadId);
    });
    return {
      status: 200,
      headers: versionHeader(bucket, object),
      body: writeXml([
        'CompleteMultipartUploadResult',
        [
          ['Location', `http://${headers['host'] ?? ''}/${bucketName}/${encodeURIComponent(key)}`],
          ['Bucket', bucketName],
          ['Key', key],
          ['ETag', quoted(object.etag)],
          ...checksumElements(object.checksum),
        ],
      ]),
    };
  });
};

/** The MD5 over the parts' raw MD5s, and their number. */
function multipartEtag(parts: readonly UploadedPart[]): string {
  const md5 = createHash('md5');
  for (const part of parts) md5.update(part.etag, 'hex');
  return `${md5.digest('hex')}-${String(parts.length)}`;
}

function objectChecksum(
  { algorithm, type }: NonNullable<UploadRecord['checksum']>,
  parts: readonly UploadedPart[],
  ofWhole: string | undefined,
): ObjectChecksum {
  const ofParts = parts.map((part) => part.checksum ?? '');
  return { algorithm, type, value: ofWhole ?? compositeChecksum(algorithm, ofParts) };
}

/**
 * The parts that a CompleteMultipartUpload lists.
 * @throws {S3Error} MalformedXML, InvalidPartOrder, InvalidPart, EntityTooSmall
 */
function chosenParts(upload: Upload, document: string): UploadedPart[] {
  const root = readXml(document);
  const entries = root?.name === 'CompleteMultipartUpload' ? childrenNamed(root, 'Part') : [];
  if (entries.length === 0 || entries.length > MAX_PARTS) throw new S3Error('MalformedXML');
  const declared = upload.record.checksum;
  let last = 0;
  const parts = entries.map((entry) => {
    const partNumber = Number(childText(entry, 'PartNumber'));
    const etag = childText(entry, 'ETag');
    if (!(partNumber >= 1 && partNumber <= MAX_PARTS) || etag === undefined) throw new S3Error('MalformedXML');
    if (partNumber <= last) throw new S3Error('InvalidPartOrder', { UploadId: upload.record.uploadId });
    last = partNumber;
    const part = upload.parts.get(partNumber);
    const claimed = declared && childText(entry, `Checksum${declared.algorithm}`);
    if (part?.etag !== etag.trim().replaceAll('"', '') || (claimed !== undefined && claimed !== part.checksum)) {
      throw new S3Error('InvalidPart', { UploadId: upload.record.uploadId, PartNumber: partNumber, ETag: etag });
    }
    if (declared?.type === 'COMPOSITE' && claimed === undefined) {
      const message =
        `The upload was created using a ${declared.algorithm.toLowerCase()} checksum. The complete request must ` +
        `include the checksum for each part. It was missing for part ${String(partNumber)} in the request.`;
      throw new S3Error('InvalidRequest', {}, message);
    }
    return part;
  });
  for (const part of parts.slice(0, -1)) {
    if (part.body.size >= LEAST_PART_BYTES) continue;
    throw new S3Error('EntityTooSmall', {
      ProposedSize: part.body.size,
      MinSizeAllowed: LEAST_PART_BYTES,
      PartNumber: part.partNumber,
      ETag: part.etag,
    });
  }
  return parts;
}
