import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { assertKey } from '../keys.ts';
import { retry } from '../../runtime/retry.ts';
import { s3Failure } from './errors.ts';
import { storeClosed } from '../store-errors.ts';

/** A bucket, and how to talk to it. What is left out is what the AWS environment says. */
export interface S3StoreOptions {
  /** The bucket's name. */
  readonly bucket: string;
  /** What all keys begin with; a slash at its end makes no difference. @default none: the whole bucket */
  readonly prefix?: string;
  /** @default what the AWS environment says; with an endpoint, 'us-east-1' where it says nothing */
  readonly region?: string;
  /** URL of an S3-compatible server. @default AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or AWS itself */
  readonly endpoint?: string;
  /** Whether the bucket goes in the path instead of the host name. @default true with an endpoint */
  readonly forcePathStyle?: boolean;
  /**
   * Whether requests carry the SDK's checksums also where S3 does without; many other servers refuse those.
   * @default 'when-required' with an endpoint, 'when-supported' without
   */
  readonly checksums?: 'when-required' | 'when-supported';
  /** @default the AWS credential chain */
  readonly credentials?: NonNullable<S3ClientConfig['credentials']>;
  /** How often a request is sent in all. @default 3 */
  readonly maxAttempts?: number;
  /** Milliseconds. @default 5,000 */
  readonly connectionTimeout?: number;
  /**
   * How long one attempt may go without an answer, and a body without a byte, milliseconds. For bodies on their way up,
   * a second per 256 KiB is added. @default 30,000
   */
  readonly requestTimeout?: number;
  /** A client of your own, which stays yours to destroy. Excludes all settings of connections. */
  readonly client?: S3Client;
}

const NAMES = [
  'bucket',
  'prefix',
  'region',
  'endpoint',
  'forcePathStyle',
  'checksums',
  'credentials',
  'maxAttempts',
  'connectionTimeout',
  'requestTimeout',
  'client',
] as const satisfies readonly (keyof S3StoreOptions)[];
/** Settings that only a client of our own making can follow. */
const OF_CLIENT = ['region', 'endpoint', 'forcePathStyle', 'checksums', 'credentials', 'connectionTimeout'] as const;

const CHECKSUMS: ReadonlySet<unknown> = new Set(['when-required', 'when-supported']);

/** Slower than this, an upload counts as stuck, bytes per second. */
const LEAST_UPLOAD_SPEED = 256 * 1024;
const CONNECTION_TIMEOUT = 5_000;
const BACKOFF = { baseMs: 100, capMs: 5_000 };

/** What all requests of one store share: the client, the bucket, where its keys begin, and how long to wait. */
export class S3Bucket {
  readonly client: S3Client;
  readonly bucket: string;
  /** `s3://bucket/prefix`. */
  readonly url: string;
  /** How often to try what the SDK itself does not repeat. */
  readonly attempts: number;
  /** Milliseconds without a byte before a body counts as stuck. */
  readonly idleTimeout: number;
  readonly connectionTimeout: number;
  /** Whether the client was made here, by these settings alone. */
  readonly ownsClient: boolean;
  /** What answers have shown so far. */
  readonly learned = {
    /** The bucket exists: a HEAD answered with 404 does not say which of bucket and object is missing. */
    bucketExists: false,
    /** Lists come out of order (Storj): they are gathered whole and sorted. */
    listsUnsorted: false,
    /** DeleteObjects is refused: some want Content-MD5, which the SDK no longer sends, and some have none. */
    deletesSingly: false,
  };
  /** Empty, or ends with a slash. */
  readonly #base: string;
  #closed = false;

  constructor(options: S3StoreOptions) {
    assertOptions(options);
    const { bucket, prefix = '', maxAttempts = 3, requestTimeout = 30_000, client } = options;
    const root = prefix.replace(/\/$/, '');
    if (root !== '') assertKey(root);
    this.bucket = bucket;
    this.url = root === '' ? `s3://${bucket}` : `s3://${bucket}/${root}`;
    this.#base = root === '' ? '' : `${root}/`;
    this.attempts = maxAttempts;
    this.idleTimeout = requestTimeout;
    this.connectionTimeout = options.connectionTimeout ?? CONNECTION_TIMEOUT;
    this.ownsClient = client === undefined;
    this.client = client ?? makeClient(options, maxAttempts, requestTimeout);
  }

  /** The key in the bucket for a key of the store. @throws RangeError */
  full(key: string): string {
    assertKey(key);
    const full = this.#base + key;
    if (this.#base !== '') assertKey(full); // the prefix counts towards the longest key
    return full;
  }

  fullPrefix(prefix: string): string {
    return this.#base + prefix;
  }

  relative(full: string): string {
    return full.slice(this.#base.length);
  }

  assertOpen(): void {
    if (this.#closed) throw storeClosed(this.url);
  }

  close(): void {
    if (!this.#closed && this.ownsClient) this.client.destroy();
    this.#closed = true;
  }

  failure(error: unknown, key?: string): Error {
    return s3Failure(error, { url: this.url, bucket: this.bucket, key });
  }

  /**
   * Handler options for one request. The abort signal is a backstop for answers that begin and never end, which the
   * SDK's timeout does not see.
   *
   * @param bytes on their way up
   * @param workMs the server may need before it answers
   */
  within(bytes = 0, workMs = 0): { requestTimeout: number; abortSignal: AbortSignal } {
    const requestTimeout = Math.ceil(this.idleTimeout + workMs + (bytes / LEAST_UPLOAD_SPEED) * 1000);
    const abortSignal = AbortSignal.timeout(Math.min(2 ** 31 - 1, (requestTimeout + 30_000) * this.attempts));
    return { requestTimeout, abortSignal };
  }

  /** Whether the client gives parts of uploads a checksum. */
  async checksumsParts(): Promise<boolean> {
    return (await this.client.config.requestChecksumCalculation()) === 'WHEN_SUPPORTED';
  }

  /** Repeats what the SDK does not, with backoff. */
  async again<T>(retryable: (error: unknown) => boolean, operation: (attempt: number) => Promise<T>): Promise<T> {
    return retry(operation, { ...BACKOFF, attempts: this.attempts, retryable });
  }
}

function assertOptions(options: S3StoreOptions): void {
  for (const name of Object.keys(options)) {
    if (!NAMES.some((known) => known === name)) {
      throw new TypeError(`unknown option "${name}" of an S3 store; allowed are ${NAMES.join(', ')}`);
    }
  }
  const { bucket, endpoint, checksums, client } = options;
  if (typeof bucket !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/.test(bucket)) {
    throw new RangeError(`bucket must be the name of a bucket, got ${JSON.stringify(bucket)}`);
  }
  if (endpoint !== undefined) assertEndpoint(endpoint);
  if (checksums !== undefined && !CHECKSUMS.has(checksums)) {
    throw new RangeError(`checksums must be 'when-required' or 'when-supported', got ${JSON.stringify(checksums)}`);
  }
  for (const name of ['maxAttempts', 'connectionTimeout', 'requestTimeout'] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
      throw new RangeError(`${name} must be a positive whole number, got ${String(value)}`);
    }
  }
  const clash = client === undefined ? undefined : OF_CLIENT.find((name) => options[name] !== undefined);
  if (clash !== undefined) throw new TypeError(`"${clash}" has no effect beside "client": set it there`);
}

function assertEndpoint(endpoint: string): void {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new RangeError(`endpoint must be an http:// or https:// URL, got ${JSON.stringify(endpoint)}`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new RangeError(`endpoint must not hold credentials (of ${url.host}): give them by the AWS environment`);
  }
}

function makeClient(options: S3StoreOptions, maxAttempts: number, requestTimeout: number): S3Client {
  const endpoint = options.endpoint ?? environment('AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL');
  const region =
    options.region ??
    (endpoint === undefined ? undefined : (environment('AWS_REGION', 'AWS_DEFAULT_REGION') ?? 'us-east-1'));
  const checksums = options.checksums ?? (endpoint === undefined ? 'when-supported' : 'when-required');
  const mode = checksums === 'when-required' ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED';
  return new S3Client({
    maxAttempts,
    forcePathStyle: options.forcePathStyle ?? endpoint !== undefined,
    requestChecksumCalculation: mode,
    responseChecksumValidation: mode,
    followRegionRedirects: endpoint === undefined,
    requestHandler: {
      connectionTimeout: options.connectionTimeout ?? CONNECTION_TIMEOUT,
      requestTimeout,
      throwOnRequestTimeout: true,
    },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
  });
}

/** The first of these variables that is set, and not to nothing. */
function environment(...names: readonly string[]): string | undefined {
  return names.map((name) => process.env[name]).find((value) => value !== undefined && value !== '');
}
