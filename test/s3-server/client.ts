/** A server for a test, and requests of clients to it. */
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import type { TestContext } from 'node:test';
import { startS3Server, type S3Server, type S3ServerOptions } from './index.ts';

export const MiB = 1024 ** 2;
export const Bucket = 'b';

export async function start(
  t: TestContext,
  options: S3ServerOptions = {},
): Promise<{ server: S3Server; s3: S3Client }> {
  const server = await startS3Server(options);
  t.after(() => server.close());
  return { server, s3: clientOf(t, server) };
}

export function clientOf(t: TestContext, server: S3Server, accessKeyId = 'test'): S3Client {
  const client = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId, secretAccessKey: 'secret' },
    requestHandler: new NodeHttpHandler({ requestTimeout: 2000, throwOnRequestTimeout: true }),
  });
  t.after(() => {
    client.destroy();
  });
  return client;
}

/** How a request ended: `ok`, or the error's name or code with the status if there was an answer. */
export async function outcome(sent: Promise<unknown>): Promise<string> {
  try {
    await sent;
    return 'ok';
  } catch (error) {
    const { name, code, $metadata } = error as { name: string; code?: string; $metadata?: { httpStatusCode?: number } };
    const status = $metadata?.httpStatusCode;
    return status === undefined ? (code ?? name) : `${name}/${String(status)}`;
  }
}

export const put = (s3: S3Client, Key: string, Body: string | Buffer = 'x', more = {}) =>
  s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));

export async function read(s3: S3Client, Key: string): Promise<Buffer> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

/** Uploads and completes two parts, the first of 5 MiB. */
export async function putInParts(s3: S3Client, Key: string, last: Buffer, more = {}): Promise<string | undefined> {
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const Parts = [];
  for (const [index, Body] of [Buffer.alloc(5 * MiB, 1), last].entries()) {
    const PartNumber = index + 1;
    const { ETag } = await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
    Parts.push({ PartNumber, ETag });
  }
  const MultipartUpload = { Parts };
  await s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload, ...more }));
  return UploadId;
}
