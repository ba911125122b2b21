/** How calls of a store fail. */
import { SeawallError, type ErrorKind } from '../../replica/terms/errors.ts';
import assert from 'node:assert/strict';

export function assertKind(error: unknown, kind: ErrorKind, code?: string): asserts error is SeawallError {
  if (!(error instanceof SeawallError))
    throw new assert.AssertionError({ message: `not a SeawallError: ${String(error)}` });
  assert.equal(error.kind, kind, error.message);
  if (code !== undefined) assert.equal(error.code, code, error.message);
}

export async function rejects(running: Promise<unknown>, kind: ErrorKind, code?: string): Promise<SeawallError> {
  let failure: unknown;
  try {
    await running;
  } catch (error) {
    failure = error;
  }
  if (failure === undefined) assert.fail(`expected ${kind} ${code ?? ''}, but it succeeded`);
  assertKind(failure, kind, code);
  return failure;
}

/** The index of the one that succeeded; all others must have lost by `conflict`. */
export async function onlyWinner(racing: readonly Promise<unknown>[]): Promise<number> {
  const settled = await Promise.allSettled(racing);
  const winners = settled.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []));
  for (const outcome of settled) if (outcome.status === 'rejected') assertKind(outcome.reason, 'conflict');
  assert.equal(winners.length, 1, `${winners.length} winners`);
  return winners[0] ?? 0;
}
