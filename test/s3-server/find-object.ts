import type { ServerState } from './handler.ts';
import type { StoredObject } from './records.ts';
import type { S3Request } from './request.ts';
import { S3Error } from './s3-error.ts';

/**
 * Finds the object that a request names, by key or also by version.
 * @throws {S3Error} NoSuchKey; or AccessDenied, as in S3, if the caller may not list the bucket and so may not know
 */
export function findObject(
  { catalog }: ServerState,
  may: S3Request['may'],
  bucketName: string,
  key: string,
  versionId: string | null | undefined,
): StoredObject {
  const bucket = catalog.bucket(bucketName);
  if (typeof versionId === 'string') {
    const version = bucket.version(key, versionId);
    if (!version) throw new S3Error('NoSuchVersion', { Key: key, VersionId: versionId });
    if (version.kind === 'object') return version;
    throw new S3Error('MethodNotAllowed', { ResourceType: 'DeleteMarker' }, undefined, {
      'x-amz-delete-marker': 'true',
    });
  }
  const object = bucket.current(key);
  if (object) return object;
  if (!may('s3:ListBucket', bucketName, '')) throw new S3Error('AccessDenied');
  const isMarked = bucket.versions.get(key) !== undefined;
  throw new S3Error('NoSuchKey', { Key: key }, undefined, isMarked ? { 'x-amz-delete-marker': 'true' } : {});
}
