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

/** Something that is wrong with a replica, or worth knowing. */
export interface Problem {
  /** The object, or the place, that is wrong. */
  readonly key: string;
  /** Stable; see {@link SeawallError}. */
  readonly code: string;
  /** What it is, for people. */
  readonly message: string;
}

/** What is wrong with the bytes; not that they could not be had. */
export function isFinding(error: unknown): error is SeawallError {
  return isKind(error, 'corrupt', 'unsupported', 'missing', 'point');
}

export function addOnce(list: Problem[], found: Problem): void {
  if (!list.some(({ key, code }) => key === found.key && code === found.code)) list.push(found);
}

/** How many objects are proven, and by what. */
export interface ProofCount {
  /** Objects whose content is proven by a recorded database checksum. */
  readonly recorded: number;
  /** Objects that have only checksums of their own. */
  readonly frames: number;
}

/** What was found in one generation. */
export interface GenerationReport {
  /** Sixteen lowercase hex digits. */
  readonly id: string;
  /** Snapshots. */
  readonly snapshots: number;
  /** WAL segments. */
  readonly segments: number;
  /** Stored bytes. */
  readonly bytes: number;
  /** Commits found in its WAL. */
  readonly commits: number;
  /** The oldest snapshot, as a position. */
  readonly first: string | undefined;
  /** The newest commit that was reached, as a position. */
  readonly last: string | undefined;
  /** Places where the history is interrupted because retention took what lay between, or something is missing. */
  readonly holes: number;
  /** What proves its objects. */
  readonly proof: ProofCount;
}
