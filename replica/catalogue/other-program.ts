/**
 * Another program (Litestream 0.3) that writes where one of our shippers writes, or did. It knows no claims: it just
 * begins a generation, whether it was started beside a shipper or after one was stopped for good. Only the times of the
 * objects show which of the two happened.
 */
import type { FoundHead } from './head.ts';
import { isKind } from '../terms/errors.ts';
import { lastShipped, lastWritten, type Generation } from './generation.ts';
import { readSegmentHeader } from '../objects/segment-reader.ts';
import { readSnapshotFacts } from '../objects/snapshot-reader.ts';
import type { Store } from '../store/store.ts';

/** Another program's generation with objects newer than the shipper's last word; see {@link lastWord}. */
export interface ConcurrentGeneration {
  /** The other program's generation. */
  readonly generation: Generation;
  /**
   * True if it began after that word: the program took the database over, and its generation is the current one.
   * Otherwise both write side by side, and the claim decides.
   */
  readonly tookOver: boolean;
}

/**
 * See {@link ConcurrentGeneration}; usually undefined.
 *
 * @param generations in order, see `inOrder`: one that took over comes after `shipped`
 */
export async function besideOf(
  store: Store,
  generations: readonly Generation[],
  shipped: Generation,
  head: FoundHead | undefined,
): Promise<ConcurrentGeneration | undefined> {
  const word = lastWord(shipped, head);
  // If there are several, the one whose history is the latest.
  for (const generation of generations.toReversed()) {
    if (generation === shipped || generation.snapshots.length === 0 || lastWritten(generation) <= word) continue;
    if (await isForeign(store, generation))
      return { generation, tookOver: generations.indexOf(generation) > generations.indexOf(shipped) };
  }
  return undefined;
}

/** What anyone who restores the latest state must know about the other program, in words. */
export function otherProgramWarnings({
  shipped,
  beside,
}: {
  readonly shipped: Generation | undefined;
  readonly beside: ConcurrentGeneration | undefined;
}): string[] {
  if (shipped === undefined || beside === undefined) return [];
  const { generation, tookOver } = beside;
  const words = tookOver
    ? `another program began generation ${generation.id} after the shipper last wrote to ${shipped.id}: the ` +
      `latest state is that of ${generation.id}. To restore from ${shipped.id}, name a position in it`
    : `another program writes here, too: its generation ${generation.id} has newer objects than the shipper's ` +
      `${shipped.id}, which the latest state is taken from. To restore from ${generation.id}, name a position in it`;
  return [words];
}

/** When a generation's shipper last wrote a segment or a heartbeat, by the store's clock, milliseconds since 1970. */
export function lastWord(generation: Generation, head: FoundHead | undefined): number {
  const shipped = lastShipped(generation);
  return head?.position.generation === generation.id ? Math.max(shipped, head.heard) : shipped;
}

/** Whether its newest WAL is another program's; false if it cannot be read. */
async function isForeign(store: Store, generation: Generation): Promise<boolean> {
  const segment = generation.segments.at(-1);
  try {
    if (segment !== undefined) return (await readSegmentHeader(store, generation.id, segment)) === undefined;
    return (await readSnapshotFacts(store, generation.id, generation.snapshots[0]!)) === undefined;
  } catch (error) {
    if (!isKind(error, 'corrupt', 'unsupported', 'missing')) throw error;
    return false;
  }
}
