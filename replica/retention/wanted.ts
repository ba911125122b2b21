/** What a policy wants to keep at a given moment, before any floor or grace period. Pure. */
import { NO_WAL } from '../catalogue/floors.ts';
import type { Inventory, StockedGeneration, StockedSnapshot } from './inventory.ts';
import { periodOf, type Period, type RetentionPolicy } from './policy.ts';

export interface Wanted {
  /** Snapshot keys, each with the reasons to keep it. */
  readonly snapshots: ReadonlyMap<string, readonly string[]>;
  /** Generation → the first index whose WAL is wanted. */
  readonly walFrom: ReadonlyMap<string, number>;
  /** The snapshot from which the beginning of the window is restored. */
  readonly base: StockedSnapshot;
  readonly baseGeneration: string;
}

/**
 * Undefined if no generation has a snapshot.
 *
 * @param at milliseconds since 1970
 */
export function wantedAt(inventory: Inventory, policy: RetentionPolicy, at: number): Wanted | undefined {
  const generations = inventory.generations.filter(({ snapshots }) => snapshots.length > 0);
  const from = at - policy.window;
  const first = generations.findLast(({ snapshots }) => stoodAt(snapshots[0]!, from)) ?? generations[0];
  if (first === undefined) return undefined;
  const base = first.snapshots.findLast((snapshot) => stoodAt(snapshot, from)) ?? first.snapshots[0]!;

  const reasons = new Map<string, string[]>();
  const keep = (snapshot: StockedSnapshot, reason: string): void => {
    const found = reasons.get(snapshot.key);
    if (found === undefined) reasons.set(snapshot.key, [reason]);
    else found.push(reason);
  };
  const walFrom = new Map<string, number>();
  let inWindow = false;
  for (const generation of inventory.generations) {
    if (generation === first) {
      inWindow = true;
      walFrom.set(generation.id, base.index);
      keep(base, 'window-base');
      for (const snapshot of generation.snapshots) if (snapshot.index > base.index) keep(snapshot, 'window');
    } else {
      walFrom.set(generation.id, inWindow ? 0 : NO_WAL);
      if (inWindow) for (const snapshot of generation.snapshots) keep(snapshot, 'window');
    }
  }
  keepNewestChain(inventory, keep, walFrom);
  for (const period of ['daily', 'weekly', 'monthly'] as const) {
    for (const snapshot of thinned(generations, period, policy[period])) keep(snapshot, period);
  }
  return { snapshots: reasons, walFrom, base, baseGeneration: first.id };
}

/**
 * Whether a snapshot can be the base at a time. Compaction writes a snapshot later than its state was captured, and
 * Litestream dates it by when it was written. If it were the window's base from its state's time on, Litestream could
 * not restore the beginning of the window.
 */
function stoodAt({ time, lastModified }: StockedSnapshot, at: number): boolean {
  return Math.max(time, lastModified) <= at;
}

/** The latest state is never deleted, however long ago it was captured. */
function keepNewestChain(
  inventory: Inventory,
  keep: (snapshot: StockedSnapshot, reason: string) => void,
  walFrom: Map<string, number>,
): void {
  const current = inventory.generations.find(({ id }) => id === inventory.current);
  const newest = current?.snapshots.at(-1);
  if (current === undefined || newest === undefined) return;
  keep(newest, 'newest');
  walFrom.set(current.id, Math.min(walFrom.get(current.id) ?? NO_WAL, newest.index));
}

/** The newest snapshot of each of the last `count` periods that have one, across generations. */
function thinned(generations: readonly StockedGeneration[], period: Period, count: number): StockedSnapshot[] {
  const newest = new Map<string, StockedSnapshot>();
  const all = generations.flatMap(({ snapshots }) => snapshots).sort((a, b) => b.time - a.time);
  for (const snapshot of all) {
    const name = periodOf(period, snapshot.time);
    if (newest.has(name)) continue;
    if (newest.size >= count) break;
    newest.set(name, snapshot);
  }
  return [...newest.values()];
}
