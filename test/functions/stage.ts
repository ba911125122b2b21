/**
 * What the functions find around them: a bucket, queues, their environment, and events as AWS shapes them. The
 * environment must be set before a handler is imported, so tests import handlers by `await import`.
 */
import { randomUUID } from 'node:crypto';
import type { Context, SQSEvent } from 'aws-lambda';
import { s3Store } from '../../replica/store/s3/store.ts';
import type { Store } from '../../replica/store/store.ts';
import { encodeEventKey } from '../s3-server/events.ts';
import { startS3Server, type S3Server } from '../s3-server/index.ts';
import { startQueueServer, type QueueServer } from './queue-server.ts';

export const BUCKET = 'b';
export const GENERATION = '0123456789abcdef';

export interface Stage extends AsyncDisposable {
  readonly server: S3Server;
  readonly queues: QueueServer;
  /** The bucket below its root, as a caller of full rights sees it. */
  readonly root: Store;
}

export async function setStage(settings: Readonly<Record<string, string>> = {}, server?: S3Server): Promise<Stage> {
  const s3 = server ?? (await startS3Server({ buckets: [BUCKET] }));
  const queues = await startQueueServer();
  catchMetrics();
  Object.assign(process.env, {
    AWS_ACCESS_KEY_ID: 'root',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_REGION: 'us-east-1',
    SEAWALL_BUCKET: BUCKET,
    SEAWALL_ROOT: '',
    SEAWALL_S3_ENDPOINT: s3.endpoint,
    SEAWALL_SQS_ENDPOINT: queues.endpoint,
    SEAWALL_QUEUE_URL: queues.url('sweep'),
    SEAWALL_DRILL_QUEUE_URL: queues.url('drill'),
    SEAWALL_LOG_LEVEL: 'SILENT',
    SEAWALL_RETENTION: '{}',
    ...settings,
  });
  const credentials = { accessKeyId: 'root', secretAccessKey: 'test' };
  const prefix = process.env['SEAWALL_ROOT'] ?? '';
  const root = s3Store({ bucket: BUCKET, prefix, endpoint: s3.endpoint, credentials });
  return {
    server: s3,
    queues,
    root,
    async [Symbol.asyncDispose]() {
      await root.close();
      await queues.close();
      await s3.close();
    },
  };
}

/** Milliseconds until a function is ended: that many from now, or what the clock says each time. */
export type Remaining = number | (() => number);

/**
 * A clock by which a function has all its time until one of its requests matches, and none from then on. That request
 * is carried out only after the function was told, so a test does not depend on how long anything takes.
 */
export function timeEndsAt(server: S3Server, match: (request: { op: string; key: string }) => boolean): () => number {
  const told = Promise.withResolvers<undefined>();
  const held = server.faults.add({ kind: 'slow', latency: told.promise, delay: 'operation', match });
  return () => {
    if (held.hits === 0) return 900_000;
    setImmediate(told.resolve, undefined);
    return 0;
  };
}

/** Lambda's context, with so many milliseconds left when it is made. */
export function contextFor(name: string, remaining: Remaining = 900_000): Context {
  const end = performance.now() + (typeof remaining === 'number' ? remaining : 0);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: name,
    functionVersion: '$LATEST',
    invokedFunctionArn: `arn:aws:lambda:us-east-1:123456789012:function:${name}`,
    memoryLimitInMB: '512',
    awsRequestId: randomUUID(),
    logGroupName: `/aws/lambda/${name}`,
    logStreamName: 'test',
    getRemainingTimeInMillis:
      typeof remaining === 'number' ? () => Math.max(0, Math.round(end - performance.now())) : remaining,
  } as Context; // without the callbacks that this runtime no longer has
}

/** A queue's event; messages are called m0, m1, … */
export function sqsEvent(bodies: readonly string[]): SQSEvent {
  return {
    Records: bodies.map((body, i) => ({
      messageId: `m${String(i)}`,
      receiptHandle: `r${String(i)}`,
      body,
      attributes: {
        ApproximateReceiveCount: '1',
        SentTimestamp: '1780000000000',
        SenderId: 'AIDATEST',
        ApproximateFirstReceiveTimestamp: '1780000000001',
      },
      messageAttributes: {},
      md5OfBody: '',
      eventSource: 'aws:sqs',
      eventSourceARN: 'arn:aws:sqs:us-east-1:123456789012:test',
      awsRegion: 'us-east-1',
    })),
  };
}

/** S3's notification of new objects, their keys encoded as S3 does. */
export function s3Notification(...keys: readonly string[]): string {
  return JSON.stringify({ Records: keys.map((key) => s3Record(encodeEventKey(key))) });
}

/** A record with the key spelled as given. */
export function s3Record(key: string, eventName = 'ObjectCreated:Put', bucket = BUCKET): unknown {
  return {
    eventVersion: '2.1',
    eventSource: 'aws:s3',
    awsRegion: 'us-east-1',
    eventTime: '2026-03-01T00:00:00.000Z',
    eventName,
    userIdentity: { principalId: 'AWS:TEST' },
    requestParameters: { sourceIPAddress: '127.0.0.1' },
    responseElements: { 'x-amz-request-id': 'R', 'x-amz-id-2': '2' },
    s3: {
      s3SchemaVersion: '1.0',
      configurationId: 'seawall',
      bucket: { name: bucket, ownerIdentity: { principalId: 'T' }, arn: `arn:aws:s3:::${bucket}` },
      object: { key, size: 1000, eTag: 'e', sequencer: '0060000000000001' },
    },
  };
}

/** Sent by S3 when notifications are set up. */
export const TEST_EVENT = JSON.stringify({
  Service: 'Amazon S3',
  Event: 's3:TestEvent',
  Time: '2026-03-01T00:00:00.000Z',
  Bucket: BUCKET,
  RequestId: 'R',
  HostId: 'H',
});

const metricLines: string[] = [];
const write = process.stdout.write.bind(process.stdout);

/** From now on, metrics are kept instead of printed; other output passes. */
function catchMetrics(): void {
  process.stdout.write = (chunk: string | Uint8Array, ...rest: []) => {
    if (typeof chunk !== 'string' || !chunk.startsWith('{"_aws"')) return write(chunk, ...rest);
    metricLines.push(chunk);
    return true;
  };
}

/** The metrics published while `work` runs. */
export async function metricsOf<T>(
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly metrics: Metric[] }> {
  metricLines.length = 0;
  const result = await work();
  return { result, metrics: metricLines.splice(0).map((line) => JSON.parse(line) as Metric) };
}

export interface Metric {
  readonly _aws: {
    readonly Timestamp: number;
    readonly CloudWatchMetrics: readonly {
      readonly Namespace: string;
      readonly Dimensions: readonly (readonly string[])[];
      readonly Metrics: readonly { readonly Name: string; readonly Unit: string }[];
    }[];
  };
  readonly [name: string]: unknown;
}

/** Sum of a metric's values. */
export function total(metrics: readonly Metric[], name: string): number {
  return metrics.reduce((sum, metric) => sum + ((metric[name] as number | undefined) ?? 0), 0);
}
