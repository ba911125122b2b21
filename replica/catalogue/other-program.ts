/**
 * Another program (Litestream 0.3) that writes where a shipper of ours does, or did. It knows no claims: started beside a
 * shipper, or after one was stopped for good, it just begins a generation. The times of the objects must tell which it was.
 */
import type { FoundHead } from './head.ts';
import { isKind } from '../terms/errors.ts';
import { lastShipped, lastWritten, type Generation } from './generation.ts';
import { readSegmentHeader } from '../objects/segment-reader.ts';
import { readSnapshotFacts } from '../objects/snapshot-reader.ts';
import type { Store } from '../store/store.ts';

/** Another program's generation that has objects newer than the last word of the shipper's. */
export interface ConcurrentGeneration {
  /** The other program's generation. */
  readonly generation: Generation;
  /**
   * It began after that word: the program took the database over, and its generation is the current one. Else both
   * write side by side, and the claim decides.
   */
  readonly tookOver: boolean;
}

/** See {@link ConcurrentGeneration}; undefined as a rule. The generations are in order: one that took over comes after `shipped`. */
export async function besideOf(
  store: Store,
  generations: readonly Generation[],
  shipped: Generation,
  head: FoundHead | undefined,
): Promise<ConcurrentGeneration | undefined> {
  const word = lastWord(shipped, head);
  // Of several the one whose history is the latest.
  for (const generation of generations.toReversed()) {
    if (generation === shipped || generation.snapshots.length === 0 || lastWritten(generation) <= word) continue;
    if (await isForeign(store, generation))
      return { generation, tookOver: generations.indexOf(generation) > generations.indexOf(shipped) };
  }
  return undefined;
}

/** What whoever restores the latest state must know of it, in words. */
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
    ? `another program began generation ${generation.id} after the last word of the shipper's, ${shipped.id}: the ` +
      `latest state is that of ${generation.id}. What ${shipped.id} holds is restored when asked for by position`
    : `another program writes here, too: its generation ${generation.id} has newer objects than the shipper's, ` +
      `${shipped.id}, which the latest state is taken from. What ${generation.id} holds is restored when asked for by position`;
  return [words];
}

/** When the shipper of a generation last said something, by the store's clock: with a segment, or with a heartbeat. */
export function lastWord(generation: Generation, head: FoundHead | undefined): number {
  const shipped = lastShipped(generation);
  return head?.position.generation === generation.id ? Math.max(shipped, head.heard) : shipped;
}

/** Whether its newest WAL is another program's; not where that cannot be read. */
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
