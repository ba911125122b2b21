/** What a failed invocation means: the function failed, Lambda failed, or the request did not get there. */
import { SeawallError, type ErrorKind } from '../../replica/terms/errors.ts';
import { UsageError } from '../exit-codes.ts';

const KINDS = {
  corrupt: true,
  missing: true,
  point: true,
  conflict: true,
  exists: true,
  denied: true,
  unreachable: true,
  unsupported: true,
  refused: true,
  local: true,
} as const satisfies Readonly<Record<ErrorKind, true>>;

const LARGER =
  'Give the function more time or memory (restore: { timeout, memorySize } of SqliteBackup), or restore without the function: seawall restore <replica> -o <file>.';

/**
 * The failure that a function's error stands for. Our functions name their errors `Seawall.<kind>.<CODE>`; any other
 * error is the runtime's, or a bug.
 *
 * @param payload what the invocation answered: `{"errorType":…,"errorMessage":…}`
 */
export function functionFailure(payload: string, name: string): Error {
  const { errorType, errorMessage } = errorOf(payload);
  const [, kind = '', code = ''] = /^Seawall\.([a-z]+)\.(\w+)$/.exec(errorType) ?? [];
  if (kind === 'input') return new UsageError(`${name} rejects the request: ${errorMessage}`);
  if (kind === 'time') return new SeawallError('unreachable', code, `${name}: ${errorMessage}. ${LARGER}`);
  if (Object.hasOwn(KINDS, kind)) return new SeawallError(kind as ErrorKind, code, errorMessage);
  if (errorType === 'Sandbox.Timedout' || errorMessage.includes('Task timed out')) {
    return new SeawallError('unreachable', 'FUNCTION_TIMED_OUT', `${name}: ${errorMessage}. ${LARGER}`);
  }
  if (errorType === 'Runtime.OutOfMemory') {
    return new SeawallError('unreachable', 'FUNCTION_OUT_OF_MEMORY', `${name} ran out of memory. ${LARGER}`);
  }
  const words = `${name} failed (its log in CloudWatch says more): ${errorType}: ${errorMessage}`;
  return new SeawallError('unreachable', 'FUNCTION_FAILED', words);
}

function errorOf(payload: string): { readonly errorType: string; readonly errorMessage: string } {
  try {
    const { errorType, errorMessage } = JSON.parse(payload) as Readonly<Record<string, unknown>>;
    if (typeof errorMessage === 'string') {
      return { errorType: typeof errorType === 'string' ? errorType : 'Error', errorMessage };
    }
  } catch {
    // Shown unchanged.
  }
  return { errorType: 'Error', errorMessage: payload.slice(0, 1000) };
}

type Meaning = readonly [kind: ErrorKind, code: string, words: string];

const DENIED: Meaning = ['denied', 'FUNCTION_DENIED', 'these credentials do not allow lambda:InvokeFunction'];
const CREDENTIALS: Meaning = ['denied', 'FUNCTION_CREDENTIALS', 'AWS rejects these credentials: renew them'];
const NO_CREDENTIALS: Meaning = [
  'denied',
  'FUNCTION_NO_CREDENTIALS',
  'no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role',
];
const KEY: Meaning = ['denied', 'FUNCTION_KEY', 'the KMS key of the function cannot be used: enable it, or allow it'];
const TIMEOUT: Meaning = [
  'unreachable',
  'FUNCTION_NO_ANSWER',
  'no answer in time; it may still have restored, see restores/ in the bucket',
];
const NETWORK: Meaning = [
  'unreachable',
  'FUNCTION_UNREACHABLE',
  'the connection failed: check the network and the region. If it broke halfway, the function may still have restored, see restores/ in the bucket',
];

const BY_NAME: Readonly<Record<string, Meaning>> = {
  ResourceNotFoundException: [
    'missing',
    'FUNCTION_MISSING',
    'no such function: check the name (the stack prints it as RestoreFunctionName), the region and the account',
  ],
  TooManyRequestsException: [
    'unreachable',
    'FUNCTION_THROTTLED',
    'Lambda has no concurrency left for it: try again, or raise the function’s reservedConcurrency or the account’s limit',
  ],
  AccessDeniedException: DENIED,
  ExpiredTokenException: CREDENTIALS,
  ExpiredToken: CREDENTIALS,
  UnrecognizedClientException: CREDENTIALS,
  InvalidSignatureException: CREDENTIALS,
  CredentialsProviderError: NO_CREDENTIALS,
  TokenProviderError: NO_CREDENTIALS,
  KMSAccessDeniedException: KEY,
  KMSDisabledException: KEY,
  KMSInvalidStateException: KEY,
  KMSNotFoundException: KEY,
  TimeoutError: TIMEOUT,
};

/** What an error of the Lambda client means. Bugs and misuse pass unchanged. */
export function invocationFailure(error: unknown, name: string): unknown {
  if (!(error instanceof Error) || error instanceof SeawallError) return error;
  if (/^Region (is missing|not accepted)/.test(error.message)) {
    return new UsageError('the region is unknown: give --region or the ARN, or set AWS_REGION');
  }
  const meaning = meaningOf(error);
  if (meaning === undefined) return error;
  const [kind, code, words] = meaning;
  const status = statusOf(error);
  const given = `${error.name}: ${error.message}`;
  return new SeawallError(kind, code, `${name}: ${words} (${given})`, status === undefined ? {} : { status }, error);
}

function meaningOf(error: Error): Meaning | undefined {
  // The socket's own code first: the SDK calls every broken connection a TimeoutError.
  if ('code' in error && /^E[A-Z_]+$/.test(String(error.code))) return NETWORK;
  if (Object.hasOwn(BY_NAME, error.name)) return BY_NAME[error.name];
  const status = statusOf(error);
  if (status === undefined) return undefined;
  if (status === 401 || status === 403) return DENIED;
  if (status >= 500) return ['unreachable', 'FUNCTION_SERVICE', 'Lambda failed. Try again.'];
  return ['unsupported', 'FUNCTION_REQUEST', 'Lambda rejects the request'];
}

function statusOf(error: Error): number | undefined {
  return (error as { readonly $metadata?: { readonly httpStatusCode?: number } }).$metadata?.httpStatusCode;
}
