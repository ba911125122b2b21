/** What the exit codes of `seawall` mean, and which failure gives which. */
import { SeawallError } from '../replica/terms/errors.ts';

export const EXIT = {
  ok: 0,
  /** The operation failed: network, permissions, disk, a safety rule, a bug. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** There is nothing there, or the point asked for cannot be restored. */
  nothing: 3,
  /** Stored bytes are not what they must be. */
  corrupt: 4,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A wrong command line: an unknown flag, a missing operand, an invalid value. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * Runs work that interprets the command line. A TypeError or RangeError from it is a mistake on the command line; from
 * anywhere else it is a bug of ours and must not be shown as a usage error.
 */
export async function interpret<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
}

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof UsageError) return EXIT.usage;
  if (!(error instanceof SeawallError)) return EXIT.failed;
  switch (error.kind) {
    case 'missing':
    case 'point':
      return EXIT.nothing;
    case 'corrupt':
      return EXIT.corrupt;
    case 'conflict':
    case 'exists':
    case 'denied':
    case 'unreachable':
    case 'unsupported':
    case 'refused':
    case 'local':
      return EXIT.failed;
  }
}
