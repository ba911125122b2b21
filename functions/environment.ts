/** The settings of a function, from its environment. A wrong setting ends the function before its first event. */
import { s3Store } from '../replica/store/s3/store.ts';
import { S3Client } from '@aws-sdk/client-s3';
import type { Store } from '../replica/store/store.ts';
import { functionLogger } from './log.ts';
import { embeddedMetrics, type Metrics } from './metrics.ts';
import { sqsQueue, type Queue } from './queue.ts';

export function setting(name: string, fallback?: string): string {
  const value = process.env[name] ?? fallback;
  if (value === undefined) throw new RangeError(`the environment variable ${name} is not set`);
  return value;
}

export function numberSetting(name: string, fallback: number): number {
  const text = process.env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0) return value;
  throw new RangeError(`${name} must be a number, 0 or more, not ${JSON.stringify(text)}`);
}

export function jsonSetting(name: string): unknown {
  const text = setting(name, '{}');
  try {
    return JSON.parse(text);
  } catch {
    throw new RangeError(`${name} must be JSON, not ${JSON.stringify(text)}`);
  }
}

/** More attempts than elsewhere, because a function that gives up starts again from its event. */
const ATTEMPTS = 6;

function endpointSetting(name: string): string | undefined {
  const endpoint = process.env[name];
  return endpoint === '' ? undefined : endpoint;
}

/** A client with the same settings as the store, for requests that the store does not make. */
export function s3Client(): S3Client {
  const endpoint = endpointSetting('SEAWALL_S3_ENDPOINT');
  const timeouts = { connectionTimeout: 5_000, requestTimeout: 30_000, throwOnRequestTimeout: true };
  return new S3Client({
    maxAttempts: ATTEMPTS,
    requestHandler: timeouts,
    ...(endpoint !== undefined && { endpoint, forcePathStyle: true }),
  });
}

/** The whole bucket. */
export function openBucket(): Store {
  return open('');
}

/** The databases: the bucket below SEAWALL_ROOT. */
export function openRoot(): Store {
  return open(setting('SEAWALL_ROOT', ''));
}

function open(prefix: string): Store {
  const endpoint = endpointSetting('SEAWALL_S3_ENDPOINT');
  const bucket = setting('SEAWALL_BUCKET');
  return s3Store({ bucket, prefix, maxAttempts: ATTEMPTS, ...(endpoint !== undefined && { endpoint }) });
}

export function openQueue(urlSetting: string): Queue {
  return sqsQueue(setting(urlSetting), endpointSetting('SEAWALL_SQS_ENDPOINT'));
}

export function openLog(name: string): ReturnType<typeof functionLogger> {
  return functionLogger(name, setting('SEAWALL_LOG_LEVEL', 'INFO'));
}

export function openMetrics(): Metrics {
  return embeddedMetrics({
    namespace: setting('SEAWALL_METRICS_NAMESPACE', 'Seawall'),
    perDatabase: setting('SEAWALL_METRICS_PER_DATABASE', 'true') !== 'false',
    now: Date.now,
    write: (line) => process.stdout.write(`${line}\n`),
  });
}

/** Bytes of WAL pages to hold in memory: an eighth of the function's memory, from 24 MiB to 512 MiB. */
export function overlayMemory(): number {
  const megabytes = numberSetting('AWS_LAMBDA_FUNCTION_MEMORY_SIZE', 0);
  return Math.min(512 << 20, Math.max(24 << 20, (megabytes << 20) >>> 3));
}
