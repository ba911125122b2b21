import { type SeawallError, isKind } from '../terms/errors.ts';

/** Takes findings; the same finding at the same object counts once. */
export interface Findings {
  problem(key: string, code: string, message: string): void;
  warning(key: string, code: string, message: string): void;
  /** Turns a decoder's failure into a problem; what is no finding (network, permissions, bugs) is thrown on. */
  failed(key: string, error: unknown): void;
  /** An object has been looked at. */
  checked(): void;
}

export interface Problem {
  /** The object, or the place, that is wrong. */
  readonly key: string;
  /** Stable; see {@link SeawallError}. */
  readonly code: string;
  readonly message: string;
}

/** What is wrong with the bytes; not that they could not be had. */
export function isFinding(error: unknown): error is SeawallError {
  return isKind(error, 'corrupt', 'unsupported', 'missing', 'point');
}

export function addOnce(list: Problem[], found: Problem): void {
  if (!list.some(({ key, code }) => key === found.key && code === found.code)) list.push(found);
}

export interface GenerationReport {
  readonly id: string;
  readonly snapshots: number;
  readonly segments: number;
  /** Stored bytes. */
  readonly bytes: number;
  readonly commits: number;
  /** The oldest snapshot, and the newest commit that was reached, as positions. */
  readonly first: string | undefined;
  readonly last: string | undefined;
  /** Places where the history is interrupted because retention took what lay between, or something is missing. */
  readonly holes: number;
  readonly proof: { readonly recorded: number; readonly frames: number };
}
