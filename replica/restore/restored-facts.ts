/** The facts of a restored state as plain JSON: for the evidence of a drill and the response of the restore function. */
import { formatChecksum } from '../format/page-hashes.ts';
import type { Proof } from '../image/image-proof.ts';
import type { Restorable, WrittenState } from './restorable.ts';
import { formatTime } from '../terms/target.ts';

export interface RestoredFacts {
  readonly position: string;
  /** When the restored state was captured, RFC 3339. */
  readonly time: string;
  readonly pages: number;
  readonly pageSize: number;
  readonly bytes: number;
  /** Sixteen hex digits. */
  readonly checksum: string;
  readonly proof: Proof;
  /** Damage that was found and does not affect this state, in words. */
  readonly warnings: readonly string[];
}

/** The facts of a state that was chosen and written. */
export function restoredFacts(
  { time, warnings }: Pick<Restorable, 'time' | 'warnings'>,
  { position, pages, pageSize, checksum, proof }: Omit<WrittenState, 'frames' | 'walPages'>,
): RestoredFacts {
  return {
    position,
    time: formatTime(time),
    pages,
    pageSize,
    bytes: pages * pageSize,
    checksum: formatChecksum(checksum),
    proof,
    warnings,
  };
}
