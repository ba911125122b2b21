import { S3Error } from './s3-error.ts';

/** The operations the server knows, each with the IAM action that allows it. */
export const OPERATION_ACTIONS = {
  ListBuckets: 's3:ListAllMyBuckets',
  CreateBucket: 's3:CreateBucket',
  HeadBucket: 's3:ListBucket',
  DeleteBucket: 's3:DeleteBucket',
  GetBucketLocation: 's3:GetBucketLocation',
  GetBucketVersioning: 's3:GetBucketVersioning',
  PutBucketVersioning: 's3:PutBucketVersioning',
  ListObjects: 's3:ListBucket',
  ListObjectsV2: 's3:ListBucket',
  ListObjectVersions: 's3:ListBucketVersions',
  ListMultipartUploads: 's3:ListBucketMultipartUploads',
  DeleteObjects: 's3:DeleteObject',
  PutObject: 's3:PutObject',
  CopyObject: 's3:PutObject',
  GetObject: 's3:GetObject',
  HeadObject: 's3:GetObject',
  DeleteObject: 's3:DeleteObject',
  CreateMultipartUpload: 's3:PutObject',
  UploadPart: 's3:PutObject',
  UploadPartCopy: 's3:PutObject',
  ListParts: 's3:ListMultipartUploadParts',
  CompleteMultipartUpload: 's3:PutObject',
  AbortMultipartUpload: 's3:AbortMultipartUpload',
} as const satisfies Record<string, string>;

export type OperationName = keyof typeof OPERATION_ACTIONS;

export const OPERATION_NAMES = Object.keys(OPERATION_ACTIONS) as OperationName[];

/** Parts of S3 that a bare query name selects. Without this list they would be taken for a plain GET or PUT. */
const UNSUPPORTED_SUBRESOURCES = [
  'accelerate',
  'acl',
  'analytics',
  'attributes',
  'cors',
  'encryption',
  'inventory',
  'legal-hold',
  'lifecycle',
  'logging',
  'metrics',
  'notification',
  'object-lock',
  'ownershipControls',
  'policy',
  'policyStatus',
  'publicAccessBlock',
  'renameObject',
  'replication',
  'requestPayment',
  'restore',
  'retention',
  'select',
  'session',
  'tagging',
  'torrent',
  'website',
];

/**
 * Tells which operation a request is, from its method, path and query.
 * @throws {S3Error} NotImplemented for parts of S3 this server does not have, MethodNotAllowed for the rest
 */
export function operationOf(
  method: string,
  bucket: string,
  key: string,
  query: URLSearchParams,
  headers: Readonly<Record<string, string>>,
): OperationName {
  const unsupported = UNSUPPORTED_SUBRESOURCES.find((name) => query.has(name));
  if (unsupported !== undefined) throw new S3Error('NotImplemented', { Query: unsupported });
  const operation =
    bucket === ''
      ? serviceOperation(method)
      : key === ''
        ? bucketOperation(method, query)
        : objectOperation(method, query, headers['x-amz-copy-source'] !== undefined);
  if (!operation) throw new S3Error('MethodNotAllowed', { Method: method });
  return operation;
}

function serviceOperation(method: string): OperationName | undefined {
  return method === 'GET' ? 'ListBuckets' : undefined;
}

function bucketOperation(method: string, query: URLSearchParams): OperationName | undefined {
  switch (method) {
    case 'GET':
      if (query.has('location')) return 'GetBucketLocation';
      if (query.has('versioning')) return 'GetBucketVersioning';
      if (query.has('versions')) return 'ListObjectVersions';
      if (query.has('uploads')) return 'ListMultipartUploads';
      return query.get('list-type') === '2' ? 'ListObjectsV2' : 'ListObjects';
    case 'HEAD':
      return 'HeadBucket';
    case 'PUT':
      return query.has('versioning') ? 'PutBucketVersioning' : 'CreateBucket';
    case 'DELETE':
      return 'DeleteBucket';
    case 'POST':
      return query.has('delete') ? 'DeleteObjects' : undefined;
  }
  return undefined;
}

function objectOperation(method: string, query: URLSearchParams, isCopy: boolean): OperationName | undefined {
  switch (method) {
    case 'GET':
      return query.has('uploadId') ? 'ListParts' : 'GetObject';
    case 'HEAD':
      return 'HeadObject';
    case 'PUT':
      if (query.has('uploadId')) return isCopy ? 'UploadPartCopy' : 'UploadPart';
      return isCopy ? 'CopyObject' : 'PutObject';
    case 'DELETE':
      return query.has('uploadId') ? 'AbortMultipartUpload' : 'DeleteObject';
    case 'POST':
      if (query.has('uploads')) return 'CreateMultipartUpload';
      return query.has('uploadId') ? 'CompleteMultipartUpload' : undefined;
  }
  return undefined;
}
