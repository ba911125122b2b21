import { SeawallError } from '../replica/terms/errors.ts';
import type { PlainError, ShipperState } from './protocol.ts';

/** The error for calls after shipping has ended. */
export function closedError(state: ShipperState, problem: PlainError | undefined): SeawallError {
  const because = problem === undefined ? '' : `: ${problem.message}`;
  if (state === 'fenced') return new SeawallError('conflict', 'FENCED', `the shipper is fenced${because}`);
  if (state === 'failed') return new SeawallError('refused', 'FAILED', `the shipper has failed${because}`);
  return new SeawallError('refused', 'STOPPED', `the shipper was stopped${because}`);
}
