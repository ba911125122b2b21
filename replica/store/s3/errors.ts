import { SeawallError, type ErrorFacts, type ErrorKind } from '../../terms/errors.ts';
import { place } from '../store-errors.ts';

/** What a failed request was about. */
export interface S3Subject {
  /** The store's URL. */
  readonly url: string;
  readonly bucket: string;
  /** Relative to the store. */
  readonly key?: string | undefined;
}

type Meaning = readonly [kind: ErrorKind, code: string, words: string];

const NO_PERMISSION: Meaning = [
  'denied',
  'STORE_ACCESS_DENIED',
  'access denied: the credentials do not allow this request (without s3:ListBucket, S3 says so of objects that are not there, too)',
];
const EXPIRED: Meaning = ['denied', 'STORE_CREDENTIALS_EXPIRED', 'the credentials have expired: renew them'];
const UNKNOWN_KEY: Meaning = [
  'denied',
  'STORE_CREDENTIALS_UNKNOWN',
  'the store does not know these credentials: check the access key, and that it belongs to this endpoint',
];
const BAD_SIGNATURE: Meaning = [
  'denied',
  'STORE_SIGNATURE',
  'the signature is wrong: check the secret access key and the region',
];
const NO_CREDENTIALS: Meaning = [
  'denied',
  'STORE_NO_CREDENTIALS',
  'no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role',
];
const CLOCK: Meaning = ['denied', 'STORE_CLOCK_SKEW', 'this machine’s clock differs too much from the store’s: set it'];
const THROTTLED: Meaning = ['unreachable', 'STORE_THROTTLED', 'the store asks for fewer requests'];
const SERVER: Meaning = ['unreachable', 'STORE_SERVER_ERROR', 'the store failed'];
const TIMEOUT: Meaning = ['unreachable', 'STORE_TIMEOUT', 'no answer in time'];
const NETWORK: Meaning = ['unreachable', 'STORE_UNREACHABLE', 'the store cannot be reached'];
const TLS: Meaning = [
  'unreachable',
  'STORE_TLS',
  'no secure connection: check the certificate, and whether the endpoint is http or https',
];
const BAD_ANSWER: Meaning = [
  'unreachable',
  'STORE_BAD_ANSWER',
  'the answer makes no sense: check that the endpoint is an S3 server',
];
const BUSY: Meaning = ['unreachable', 'STORE_BUSY', 'another request to the same object is under way'];
const CONDITION: Meaning = [
  'conflict',
  'STORE_CONDITION',
  'not written: the condition does not hold: another writer was here',
];
const REGION: Meaning = ['unsupported', 'STORE_WRONG_REGION', 'the bucket lies in another region: correct the region'];
const NOT_OFFERED: Meaning = ['unsupported', 'STORE_NOT_IMPLEMENTED', 'the store does not offer this'];
const NO_OBJECT: Meaning = ['missing', 'STORE_NO_OBJECT', 'no such object'];

/** By S3's error codes, the SDK's own, and those of Node's sockets. */
const BY_NAME: Readonly<Record<string, Meaning>> = {
  NoSuchKey: NO_OBJECT,
  NoSuchUpload: [
    'missing',
    'STORE_NO_UPLOAD',
    'the upload is gone: it was aborted elsewhere, or expired; start it anew',
  ],
  AccessDenied: NO_PERMISSION,
  AllAccessDisabled: NO_PERMISSION,
  ExpiredToken: EXPIRED,
  ExpiredTokenException: EXPIRED,
  TokenRefreshRequired: EXPIRED,
  RequestExpired: EXPIRED,
  InvalidAccessKeyId: UNKNOWN_KEY,
  InvalidClientTokenId: UNKNOWN_KEY,
  InvalidToken: UNKNOWN_KEY,
  UnrecognizedClientException: UNKNOWN_KEY,
  SignatureDoesNotMatch: BAD_SIGNATURE,
  InvalidSignatureException: BAD_SIGNATURE,
  CredentialsProviderError: NO_CREDENTIALS,
  TokenProviderError: NO_CREDENTIALS,
  RequestTimeTooSkewed: CLOCK,
  PreconditionFailed: CONDITION,
  ConditionalRequestConflict: BUSY,
  OperationAborted: BUSY,
  SlowDown: THROTTLED,
  Throttling: THROTTLED,
  ThrottlingException: THROTTLED,
  RequestLimitExceeded: THROTTLED,
  TooManyRequestsException: THROTTLED,
  InternalError: SERVER,
  ServiceUnavailable: SERVER,
  RequestTimeout: TIMEOUT,
  TimeoutError: TIMEOUT,
  AbortError: TIMEOUT,
  InvalidObjectState: [
    'unsupported',
    'STORE_ARCHIVED',
    'the object lies in an archive class: restore it to a readable class first',
  ],
  PermanentRedirect: REGION,
  AuthorizationHeaderMalformed: REGION,
  NotImplemented: NOT_OFFERED,
  MethodNotAllowed: NOT_OFFERED,
  ECONNREFUSED: NETWORK,
  ECONNRESET: NETWORK,
  EPIPE: NETWORK,
  EHOSTUNREACH: NETWORK,
  ENETUNREACH: NETWORK,
  EAI_AGAIN: NETWORK,
  ENOTFOUND: [
    'unreachable',
    'STORE_UNREACHABLE',
    'the host name is not known: check the endpoint; where buckets are not host names, use path-style addresses',
  ],
  ETIMEDOUT: TIMEOUT,
  EPROTO: TLS,
  SyntaxError: BAD_ANSWER,
};

/** The parts of the SDK's errors that are looked at. */
interface SdkError extends Error {
  readonly code?: string;
  readonly Code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly attempts?: number };
}

/** What a failed request means. Errors that are ours already, and misuse, pass unchanged. */
export function s3Failure(error: unknown, subject: S3Subject): Error {
  if (!(error instanceof Error)) return new SeawallError('unreachable', 'STORE_FAILED', String(error), {}, error);
  if (error instanceof SeawallError) return error;
  const status = statusOf(error);
  const at = subject.key === undefined ? subject.url : place(subject.url, subject.key);
  const facts: ErrorFacts = {
    ...(subject.key === undefined ? {} : { key: subject.key }),
    ...(status === undefined ? {} : { status }),
  };
  if (error.name === 'NoSuchBucket') return noBucket(subject, facts, error);
  const meaning = meaningOf(error, status);
  if (meaning === undefined && (error instanceof TypeError || error instanceof RangeError)) return error;
  const [kind, code, words] = meaning ?? ['unreachable', 'STORE_FAILED', 'the request failed'];
  const given = [error.name, status === undefined ? '' : `HTTP ${status}`, error.message].filter((part) => part !== '');
  return new SeawallError(kind, code, `${at}: ${words} (${given.join(', ')})`, facts, error);
}

export function noBucket(subject: S3Subject, facts: ErrorFacts, cause?: unknown): SeawallError {
  const words = `there is no bucket "${subject.bucket}": make it, or correct the URL or the endpoint`;
  return new SeawallError('missing', 'STORE_NO_BUCKET', `${subject.url}: ${words}`, facts, cause);
}

function meaningOf(error: SdkError, status: number | undefined): Meaning | undefined {
  // The socket's own code first: the SDK calls every broken connection a TimeoutError.
  for (const name of [error.code, error.name, error.Code]) {
    if (name === undefined) continue;
    if (Object.hasOwn(BY_NAME, name)) return BY_NAME[name];
    if (/^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED)/.test(name)) return TLS;
    if (name.startsWith('HPE_')) return BAD_ANSWER;
  }
  if (error.message === 'Region is missing') {
    return [
      'unsupported',
      'STORE_NO_REGION',
      'the region is not known: give it in the URL (?region=…) or set AWS_REGION',
    ];
  }
  return status === undefined ? undefined : meaningOfStatus(status);
}

function meaningOfStatus(status: number): Meaning | undefined {
  if (status === 401 || status === 403) return NO_PERMISSION;
  if (status === 404) return NO_OBJECT;
  if (status === 408) return TIMEOUT;
  if (status === 409) return BUSY;
  if (status === 412) return CONDITION;
  if (status === 429) return THROTTLED;
  if (status === 405 || status === 501) return NOT_OFFERED;
  if (status >= 500) return SERVER;
  if (status >= 300 && status < 400) return REGION;
  if (status >= 400) return ['unsupported', 'STORE_REQUEST_REFUSED', 'the store refuses the request'];
  return BAD_ANSWER;
}

export function statusOf(error: unknown): number | undefined {
  return (error as SdkError | null)?.$metadata?.httpStatusCode;
}

export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

/** How often the SDK sent the request. More than once: an earlier one may have been carried out unnoticed. */
export function attemptsOf(error: unknown): number {
  return (error as SdkError | null)?.$metadata?.attempts ?? 1;
}
