/** The time limit for shipping what is left at a stop. */
import { SeawallError } from '../../../replica/terms/errors.ts';
import type { PlainError } from '../../protocol.ts';

/**
 * Rejects with `unreachable` (STOP_TIMEOUT) after `timeout` milliseconds; `problem` returns what is in the way then.
 * Never resolves.
 */
export function stopLimit(timeout: number, problem: () => PlainError | undefined): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  AbortSignal.timeout(timeout).addEventListener('abort', () => {
    const why = problem();
    const because = why === undefined ? '' : ` (${why.message})`;
    const rest = 'the rest is shipped at the next start';
    const message = `not everything was uploaded within ${timeout} ms${because}; ${rest}`;
    reject(new SeawallError('unreachable', 'STOP_TIMEOUT', message));
  });
  return promise;
}
