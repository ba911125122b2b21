import * as buckets from './bucket-operations.ts';
import * as copies from './copy-operations.ts';
import type { Handler } from './handler.ts';
import * as listings from './listing-operations.ts';
import * as multipart from './multipart-operations.ts';
import * as objects from './object-operations.ts';
import type { OperationName } from './operation.ts';

export const HANDLERS: Readonly<Record<OperationName, Handler>> = {
  ListBuckets: buckets.listBuckets,
  CreateBucket: buckets.createBucket,
  HeadBucket: buckets.headBucket,
  DeleteBucket: buckets.deleteBucket,
  GetBucketLocation: buckets.getBucketLocation,
  GetBucketVersioning: buckets.getBucketVersioning,
  PutBucketVersioning: buckets.putBucketVersioning,
  ListObjects: listings.listObjects,
  ListObjectsV2: listings.listObjectsV2,
  ListObjectVersions: listings.listObjectVersions,
  ListMultipartUploads: listings.listMultipartUploads,
  PutObject: objects.putObject,
  GetObject: objects.getObject,
  HeadObject: objects.getObject,
  DeleteObject: objects.deleteObject,
  DeleteObjects: objects.deleteObjects,
  CopyObject: copies.copyObject,
  UploadPartCopy: copies.uploadPartCopy,
  CreateMultipartUpload: multipart.createMultipartUpload,
  UploadPart: multipart.uploadPart,
  ListParts: multipart.listParts,
  CompleteMultipartUpload: multipart.completeMultipartUpload,
  AbortMultipartUpload: multipart.abortMultipartUpload,
};
