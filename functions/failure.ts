/** How a function fails: with an error whose name tells programs what happened, and whose message tells people. */
import { SeawallError, type ErrorFacts, type ErrorKind } from '../replica/terms/errors.ts';

/** `input`: the invocation's payload is wrong. `time`: the function ran out of time. */
export type FailureKind = ErrorKind | 'input' | 'time';

/**
 * The error that a function ends with. Lambda gives callers only its name and message, as `errorType` and
 * `errorMessage`, so the name carries kind and code: `Seawall.point.POINT_NOT_KEPT`.
 */
export class FunctionFailure extends Error {
  override readonly name: string;
  readonly kind: FailureKind;
  /** Stable across releases. */
  readonly code: string;
  readonly facts: ErrorFacts;

  constructor(kind: FailureKind, code: string, message: string, facts: ErrorFacts = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = `Seawall.${kind}.${code}`;
    this.kind = kind;
    this.code = code;
    this.facts = facts;
  }

  toJSON(): Record<string, unknown> {
    const { name, kind, code, message, facts } = this;
    return { name, kind, code, message, facts };
  }
}

export function badInput(code: string, message: string): FunctionFailure {
  return new FunctionFailure('input', code, message);
}

/** Turns a SeawallError into a FunctionFailure. Returns any other error unchanged. */
export function outward(error: unknown): unknown {
  if (!(error instanceof SeawallError)) return error;
  return new FunctionFailure(error.kind, error.code, error.message, error.facts, error);
}

/** The error as facts of a log line. */
export function errorFacts(error: unknown): Record<string, unknown> {
  if (error instanceof SeawallError || error instanceof FunctionFailure) {
    const { kind, code, message, facts } = error;
    return { error: { kind, code, message, ...facts } };
  }
  if (!(error instanceof Error)) return { error: { message: String(error) } };
  const { name, message, stack } = error;
  return { error: { name, message, stack } };
}
