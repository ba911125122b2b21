/**
 * The kind of a failure. Programs branch on the kind, people read the message, and `code` is finer and stable.
 *
 * - `corrupt`: bytes are present but not what they must be.
 * - `missing`: an object, a replica or a file that must be there is not.
 * - `point`: the replica is sound, but the asked moment or position cannot be restored from it.
 * - `conflict`: a conditional write lost against another writer.
 * - `exists`: a target is already there and nothing may be overwritten.
 * - `denied`: credentials or permissions do not allow the request.
 * - `unreachable`: the network or the store failed; the same request may succeed later.
 * - `unsupported`: a version, feature or setting this release does not know.
 * - `refused`: a safety rule forbids the operation.
 * - `local`: the local machine failed (disk full, read-only media, a database that cannot be opened).
 */
export type ErrorKind =
  | 'corrupt'
  | 'missing'
  | 'point'
  | 'conflict'
  | 'exists'
  | 'denied'
  | 'unreachable'
  | 'unsupported'
  | 'refused'
  | 'local';

/** Facts about a failure, for programs: which object, where in it, what was expected and what was found. */
export interface ErrorFacts {
  /** The object, relative to the replica. */
  readonly key?: string;
  /** Where in the history. */
  readonly position?: string;
  /** What should have been there. */
  readonly expected?: string | number;
  /** What was found. */
  readonly actual?: string | number;
  /** The nearest restorable point before an unreachable one. */
  readonly before?: string;
  /** The nearest restorable point after an unreachable one. */
  readonly after?: string;
  /** The local file. */
  readonly path?: string;
  /** HTTP status, where a store answered with one. */
  readonly status?: number;
}

/**
 * Every failure of an operation. Misuse of the API is a `TypeError` or `RangeError` instead.
 *
 * `code` is stable across releases, for example `SEGMENT_CRC` or `POINT_BEFORE_FIRST`.
 */
export class SeawallError extends Error {
  /** Always `SeawallError`. */
  override readonly name = 'SeawallError';
  /** The coarse kind, to branch on. */
  readonly kind: ErrorKind;
  /** The fine one; stable across releases. */
  readonly code: string;
  /** Where it went wrong, for programs. */
  readonly facts: ErrorFacts;

  constructor(kind: ErrorKind, code: string, message: string, facts: ErrorFacts = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.code = code;
    this.facts = facts;
  }
}

/** An error of kind `corrupt`: bytes are present but wrong. The message begins with `facts.key`, if there is one. */
export function corrupt(code: string, message: string, facts: ErrorFacts = {}, cause?: unknown): SeawallError {
  const where = facts.key === undefined ? '' : `${facts.key}: `;
  return new SeawallError('corrupt', code, where + message, facts, cause);
}

/** Adds the key of the object that was read to a decoder's error. An error with a key, or of another class, is returned as it is. */
export function withKey(error: unknown, key: string): unknown {
  if (!(error instanceof SeawallError) || error.facts.key !== undefined) return error;
  return new SeawallError(error.kind, error.code, `${key}: ${error.message}`, { ...error.facts, key }, error.cause);
}

/** Whether an error is a {@link SeawallError} of one of these kinds. */
/** Whether an error is a {@link SeawallError} of one of these kinds. */
export function isKind(error: unknown, ...kinds: readonly ErrorKind[]): error is SeawallError {
  return error instanceof SeawallError && kinds.includes(error.kind);
}

/** An error of kind `point`: a state that cannot be restored. The message names the nearest that can. */
export function point(
  code: string,
  message: string,
  near: { readonly before?: string; readonly after?: string },
): SeawallError {
  const before = near.before === undefined ? '' : ` Nearest before: ${near.before}.`;
  const after = near.after === undefined ? '' : ` Nearest after: ${near.after}.`;
  return new SeawallError('point', code, `${message}.${before}${after}`, near);
}
