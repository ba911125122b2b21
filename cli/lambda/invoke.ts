/** Invokes the restore function once and waits until it ends. */
import type * as Lambda from '@aws-sdk/client-lambda';
import { SeawallError } from '../../replica/terms/errors.ts';
import { retry } from '../../replica/runtime/retry.ts';
import { parseAnswer, type FunctionAnswer } from './answer.ts';
import { functionFailure, invocationFailure } from './failure.ts';
import type { FunctionName } from './function-name.ts';

/** A function runs for at most fifteen minutes; after that no answer comes. Milliseconds. */
const LONGEST = 15 * 60_000 + 10_000;
const CONNECTION = 10_000;

const THROTTLED = { attempts: 4, baseMs: 1000, capMs: 8000 };

export interface RestoreRequest {
  readonly database: string;
  /** `latest`, an RFC 3339 time, or a position. */
  readonly at: string;
}

/**
 * Throws the function's failure as the error that a local restore would throw; a UsageError if the function rejects the
 * request; the signal's reason after the signal, but the function then goes on.
 */
export async function invokeRestore(
  { name, region }: FunctionName,
  request: RestoreRequest,
  signal: AbortSignal,
): Promise<FunctionAnswer> {
  const { LambdaClient, InvokeCommand } = await loadClient();
  const client = new LambdaClient({
    ...(region !== undefined && { region }),
    // A second request would be a second restore. Below, it is repeated only if Lambda says that it began none.
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: CONNECTION,
      requestTimeout: LONGEST,
      socketTimeout: LONGEST,
      throwOnRequestTimeout: true,
    },
  });
  try {
    const command = new InvokeCommand({ FunctionName: name, Payload: Buffer.from(JSON.stringify(request)) });
    const { FunctionError, Payload } = await retry(() => client.send(command, { abortSignal: signal }), {
      ...THROTTLED,
      signal,
      retryable: (error) => error instanceof Error && error.name === 'TooManyRequestsException',
    });
    const payload = Buffer.from(Payload ?? []).toString('utf8');
    if (FunctionError !== undefined) throw functionFailure(payload, name);
    return parseAnswer(payload, name);
  } catch (error) {
    signal.throwIfAborted();
    throw invocationFailure(error, name);
  } finally {
    client.destroy();
  }
}

/** Loaded here because an app that only ships need not install it. */
async function loadClient(): Promise<typeof Lambda> {
  try {
    return await import('@aws-sdk/client-lambda');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new SeawallError(
      'local',
      'LAMBDA_CLIENT_MISSING',
      '--lambda needs AWS’s client for Lambda, which is not installed: npm install @aws-sdk/client-lambda',
      {},
      error,
    );
  }
}
