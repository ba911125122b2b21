/**
 * Compaction: from a snapshot and the WAL after it, a newer snapshot, so that restores stay short and old WAL can go.
 *
 * Only whole indexes are compacted: snapshot N is the state at the end of index N − 1, which is complete as soon as the
 * first segment of index N exists. Running twice, at once, or being killed anywhere is harmless: the snapshot appears
 * whole and proven, or not at all.
 */
import { Chain, sameState } from '../plan/chain.ts';
import { GenerationReader } from '../plan/generation-reader.ts';
import { makeSnapshot, type CompactedSnapshot, type CompactedSnapshotOptions } from './compacted-snapshot.ts';
import { corrupt, isKind } from '../terms/errors.ts';
import { formatChecksum } from '../format/page-hashes.ts';
import { snapshotKey } from '../terms/layout.ts';
import { planRestore, type RestorePlan } from '../plan/plan.ts';
import { isBlockSnapshot, openSnapshot, type SnapshotRef } from '../objects/snapshot-reader.ts';
import type { Store } from '../store/store.ts';
import type { Generation } from '../catalogue/generation.ts';
import { loadTimeline, type Timeline } from '../catalogue/timeline.ts';

/** When a new snapshot is worth its cost: at whichever limit is reached first. */
export interface CompactionPolicy {
  /** Compact when the WAL since the last snapshot is at least this share of the snapshot, in stored bytes. */
  readonly ratio: number;
  /** Compact when the last snapshot is older than this, milliseconds, and there is WAL. */
  readonly maxAge: number;
}

/** The policy unless another is given: half of the snapshot in WAL, or a day. */
export const DEFAULT_COMPACTION: CompactionPolicy = { ratio: 0.5, maxAge: 24 * 3600_000 };

/**
 * What {@link planCompaction} decided: the snapshot to start from and the index to make, or why there is nothing to
 * do.
 */
export type CompactionPlan =
  | {
      readonly kind: 'compact';
      /** The generation that is compacted: the current one. */
      readonly generation: Generation;
      /** Its newest snapshot, from which the new one is made. */
      readonly from: SnapshotRef;
      /** The new snapshot: the state at the start of this WAL index. */
      readonly index: number;
      /** Which limit of the policy was reached; `asked` for the policy `always`. */
      readonly why: 'ratio' | 'age' | 'asked';
    }
  | {
      readonly kind: 'skip';
      /** Why there is nothing to do. */
      readonly why: 'no-snapshot' | 'no-complete-index' | 'below-policy';
    };

/** What {@link compact} did. */
export type CompactionOutcome =
  | ({
      readonly kind: 'compacted';
      /** The snapshot is the state at the start of this WAL index. */
      readonly index: number;
      /** Which limit of the policy was reached; `asked` for the policy `always`. */
      readonly why: 'ratio' | 'age' | 'asked';
    } & CompactedSnapshot)
  | {
      readonly kind: 'skipped';
      /** Why nothing was made; `exists`: another run made this snapshot already. */
      readonly why: 'no-snapshot' | 'no-complete-index' | 'below-policy' | 'exists';
    };

/** Tries to join an upload that lost a race; each makes the snapshot anew. */
const ATTEMPTS = 3;

/** Decides whether and up to which index to compact. With `policy` 'always', whenever there is a complete index. */
export async function planCompaction(
  store: Store,
  timeline: Timeline,
  policy: CompactionPolicy | 'always',
  now: number,
): Promise<CompactionPlan> {
  const generation = timeline.current;
  const from = generation?.snapshots.at(-1);
  if (generation === undefined || from === undefined) return { kind: 'skip', why: 'no-snapshot' };
  const reader = new GenerationReader(store, generation);
  const { reach: index } = new Chain(reader, from);
  if (index <= from.index) return { kind: 'skip', why: 'no-complete-index' };
  const plan = { kind: 'compact', generation, from, index } as const;
  if (policy === 'always') return { ...plan, why: 'asked' };
  let walBytes = 0;
  for (const segment of generation.segments) {
    if (segment.index >= from.index && segment.index < index) walBytes += segment.size;
  }
  if (walBytes >= policy.ratio * from.size) return { ...plan, why: 'ratio' };
  if (now - (await reader.snapshotTime(from)) >= policy.maxAge) return { ...plan, why: 'age' };
  return { kind: 'skip', why: 'below-policy' };
}

/** Options of {@link compact} and their defaults. */
export interface CompactOptions extends CompactedSnapshotOptions {
  /** When to compact; `always` means whenever there is a complete index. @default {@link DEFAULT_COMPACTION} */
  readonly policy?: CompactionPolicy | 'always';
  /** The present, milliseconds since 1970. */
  readonly now: number;
}

/** Compacts the current generation once, if the policy says so. */
export async function compact(store: Store, options: CompactOptions): Promise<CompactionOutcome> {
  const timeline = await loadTimeline(store);
  const decision = await planCompaction(store, timeline, options.policy ?? DEFAULT_COMPACTION, options.now);
  if (decision.kind === 'skip') return { kind: 'skipped', why: decision.why };
  return carryOut(store, timeline, decision, options);
}

async function carryOut(
  store: Store,
  timeline: Timeline,
  decision: CompactionPlan & { readonly kind: 'compact' },
  options: CompactOptions,
): Promise<CompactionOutcome> {
  const { why } = decision;
  const found = await newestEnd(store, timeline, decision);
  if (found === undefined) return { kind: 'skipped', why: 'no-complete-index' };
  const { plan, index } = found;
  for (let attempt = 1; ; attempt++) {
    try {
      const made = await makeSnapshot(store, plan, index, options);
      return made === undefined
        ? { kind: 'skipped', why: 'no-complete-index' }
        : { kind: 'compacted', index, why, ...made };
    } catch (error) {
      if (isKind(error, 'conflict') && (await isThere(store, plan, index, options))) {
        return { kind: 'skipped', why: 'exists' };
      }
      const lostRace = isKind(error, 'unreachable') && error.code === 'STORE_UPLOAD_RESTART';
      if (!lostRace || attempt === ATTEMPTS) throw error;
    }
  }
}

/**
 * Whether another run has made the snapshot. Throws `corrupt` (SNAPSHOT_DIFFERS) when the one that is there is of
 * another state than the WAL records.
 */
async function isThere(store: Store, plan: RestorePlan, index: number, options: CompactOptions): Promise<boolean> {
  const { generation, proof } = plan;
  const codec = options.codec ?? plan.snapshot.codec;
  const info = await store.head(snapshotKey(generation.id, index, codec));
  if (info === undefined) return false;
  const there = await openSnapshot(store, generation.id, { ...info, index, codec });
  if (!isBlockSnapshot(there)) return true;
  const { pages, checksum } = await there.hashes();
  if (proof === undefined || sameState(proof.state, { pages, checksum, time: proof.state.time })) return true;
  throw corrupt('SNAPSHOT_DIFFERS', 'another run made this snapshot, and not of the state that the WAL records', {
    key: info.key,
    expected: formatChecksum(proof.state.checksum),
    actual: formatChecksum(checksum),
  });
}

/** The newest complete index whose end may be restored; a run that is replayed over later pages may not. */
async function newestEnd(
  store: Store,
  timeline: Timeline,
  decision: CompactionPlan & { readonly kind: 'compact' },
): Promise<{ readonly plan: RestorePlan; readonly index: number } | undefined> {
  for (let { index } = decision; index > decision.from.index; index--) {
    const position = { generation: decision.generation.id, index, offset: 0 };
    try {
      return { plan: await planRestore(store, timeline, { kind: 'position', position }), index };
    } catch (error) {
      if (!isKind(error, 'point')) throw error;
    }
  }
  return undefined;
}
