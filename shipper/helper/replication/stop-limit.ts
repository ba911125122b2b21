/** How long a stop may ship what is left. */
import { SeawallError } from '../../../replica/terms/errors.ts';
import type { PlainError } from '../../protocol.ts';

/** Rejects (STOP_TIMEOUT) after `timeout` milliseconds; `problem` tells what was in the way then. Never resolves. */
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
