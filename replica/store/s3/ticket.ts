import { GetObjectCommand } from '@aws-sdk/client-s3';
import type { ReadTicket } from '../read-ticket.ts';
import type { S3Bucket } from './bucket.ts';
import type { CopyRange } from '../store.ts';

/** The request as the SDK would send it. */
interface Prepared {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly query: Record<string, string | string[] | null>;
  readonly headers: Record<string, string>;
}

/**
 * The request for a range, signed by the SDK and not sent; undefined where the client is not of our making, since its
 * way to the store may be its own, and for what has another form than requests to S3 have.
 */
export async function ticketS3(s3: S3Bucket, key: string, range: CopyRange): Promise<ReadTicket | undefined> {
  const Key = s3.full(key);
  s3.assertOpen();
  if (!s3.ownsClient || range.length === 0) return undefined;
  const { offset, length } = range;
  const command = new GetObjectCommand({ Bucket: s3.bucket, Key, Range: `bytes=${offset}-${offset + length - 1}` });
  let prepared: Prepared | undefined;
  command.middlewareStack.add(
    () => (args) => {
      prepared = args.request as Prepared;
      return Promise.resolve({ response: {}, output: { $metadata: {} } });
    },
    { step: 'deserialize', priority: 'high', name: 'keepForAnotherThread' },
  );
  await s3.client.send(command).catch((error: unknown) => {
    throw s3.failure(error, key);
  });
  if (prepared === undefined) return undefined;
  const { method, protocol, hostname, port, path, headers } = prepared;
  if (method !== 'GET' || headers['host'] === undefined) return undefined;
  const secure = protocol === 'https:';
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return {
    kind: 'http',
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port ?? (secure ? 443 : 80),
    secure,
    request: `GET ${path}${queryOf(prepared.query)} HTTP/1.1\r\n${fields.join('')}\r\n`,
    offset,
    connectionTimeout: s3.connectionTimeout,
    idleTimeout: s3.idleTimeout,
  };
}

function queryOf(query: Prepared['query']): string {
  const parts = Object.entries(query).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map(
      (each) => encodeURIComponent(name) + (each === null ? '' : `=${encodeURIComponent(each)}`),
    ),
  );
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}
