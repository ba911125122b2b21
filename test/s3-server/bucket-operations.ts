import type { Handler } from './handler.ts';
import { receiveText } from './receive-body.ts';
import { S3Error } from './s3-error.ts';
import { childText, readXml, writeXml } from './xml.ts';

export const listBuckets: Handler = ({ catalog }) => ({
  status: 200,
  body: writeXml([
    'ListAllMyBucketsResult',
    [['Buckets', [...catalog.buckets.keys()].sort().map((name) => ['Bucket', [['Name', name]]] as const)]],
  ]),
});

export const createBucket: Handler = async ({ catalog }, request) => {
  await receiveText(request);
  const { bucket } = request;
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket))
    throw new S3Error('InvalidBucketName', { BucketName: bucket });
  if (catalog.buckets.has(bucket)) throw new S3Error('BucketAlreadyOwnedByYou', { BucketName: bucket });
  catalog.setBucket(bucket, 'Unversioned');
  return { status: 200, headers: { location: `/${bucket}` } };
};

export const headBucket: Handler = ({ catalog }, { bucket }) => {
  catalog.bucket(bucket);
  return { status: 200, headers: { 'x-amz-bucket-region': 'us-east-1' } };
};

export const deleteBucket: Handler = ({ catalog }, { bucket }) => {
  catalog.removeBucket(bucket);
  return { status: 204 };
};

export const getBucketLocation: Handler = ({ catalog }, { bucket }) => {
  catalog.bucket(bucket);
  // us-east-1 has no name here.
  return { status: 200, body: writeXml(['LocationConstraint', '']) };
};

export const getBucketVersioning: Handler = ({ catalog }, { bucket }) => {
  const { versioning } = catalog.bucket(bucket);
  const status = versioning === 'Unversioned' ? undefined : versioning;
  return { status: 200, body: writeXml(['VersioningConfiguration', [['Status', status]]]) };
};

export const putBucketVersioning: Handler = async ({ catalog }, request) => {
  catalog.bucket(request.bucket);
  const root = readXml(await receiveText(request));
  const status = root && childText(root, 'Status');
  if (status !== 'Enabled' && status !== 'Suspended') throw new S3Error('MalformedXML');
  catalog.setBucket(request.bucket, status);
  return { status: 200 };
};
