/**
 * Compaction: from a snapshot and the WAL after it, a newer snapshot, so that restores stay short and old WAL can go.
 *
 * Only whole indexes are compacted: snapshot N is the state at the end of index N − 1, which is complete as soon as the
 * first segment of index N exists. Running twice, at once, or being killed anywhere is harmless: the snapshot appears
 * whole and proven, or not at all.
 */
import { isKind } from './errors.ts';
import { codec as codecNamed, DEFAULT_ZSTD_LEVEL } from './format/codec.ts';
import { openImage } from './image.ts';
import type { CodecName } from './layout.ts';
import { chainFrom } from './chain.ts';
import { planRestore, type RestorePlan } from './plan.ts';
import { readSnapshotFacts, type SnapshotRef } from './snapshot-reader.ts';
import { writeSnapshot } from './snapshot-writer.ts';
import type { Store } from './store/store.ts';
import { loadTimeline, snapshotTime, type Generation, type Timeline } from './timeline.ts';

export interface CompactionPolicy {
  /** Compact when the WAL since the last snapshot is at least this share of the snapshot, in stored bytes. */
  readonly ratio: number;
  /** Compact when the last snapshot is older than this, milliseconds, and there is WAL. */
  readonly maxAge: number;
}

export const DEFAULT_COMPACTION: CompactionPolicy = { ratio: 0.5, maxAge: 24 * 3600_000 };

export type CompactionPlan =
  | {
      readonly kind: 'compact';
      readonly generation: Generation;
      readonly from: SnapshotRef;
      readonly index: number;
      readonly why: 'ratio' | 'age' | 'asked';
    }
  | { readonly kind: 'skip'; readonly why: 'no-snapshot' | 'no-complete-index' | 'below-policy' };

export type CompactionOutcome =
  | {
      readonly kind: 'compacted';
      readonly key: string;
      readonly index: number;
      readonly why: 'ratio' | 'age' | 'asked';
      readonly size: number;
      readonly pages: number;
      readonly checksum: bigint;
      readonly frames: number;
    }
  | { readonly kind: 'skipped'; readonly why: 'no-snapshot' | 'no-complete-index' | 'below-policy' | 'exists' };

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
  const index = chainFrom(generation, from).at(-1)?.index;
  if (index === undefined || index <= from.index) return { kind: 'skip', why: 'no-complete-index' };
  const plan = { kind: 'compact', generation, from, index } as const;
  if (policy === 'always') return { ...plan, why: 'asked' };
  let walBytes = 0;
  for (const segment of generation.segments) {
    if (segment.index >= from.index && segment.index < index) walBytes += segment.size;
  }
  if (walBytes >= policy.ratio * from.size) return { ...plan, why: 'ratio' };
  if (now - (await snapshotTime(store, generation.id, from)) >= policy.maxAge) return { ...plan, why: 'age' };
  return { kind: 'skip', why: 'below-policy' };
}

export interface CompactOptions {
  readonly policy?: CompactionPolicy | 'always';
  readonly now: number;
  readonly codec?: CodecName;
  /** zstd only. */
  readonly level?: number;
  readonly memory?: number;
  readonly onProgress?: (done: number, total: number | undefined) => void;
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
  const { generation, from, why } = decision;
  const found = await newestEnd(store, timeline, decision);
  if (found === undefined) return { kind: 'skipped', why: 'no-complete-index' };
  const { plan, index } = found;
  const image = await openImage(store, plan, options.memory === undefined ? {} : { memory: options.memory });
  const { pages, pageSize } = image;
  if (pages === undefined) return { kind: 'skipped', why: 'no-complete-index' };
  const base = await readSnapshotFacts(store, generation.id, from);
  const facts = {
    generation: generation.id,
    index,
    pageSize,
    pages,
    time: plan.time,
    checksum: plan.proof?.state.checksum,
    reason: 'compaction',
    ...(base?.file && { file: base.file }),
  };
  const codec = codecNamed(options.codec ?? from.codec, options.level ?? DEFAULT_ZSTD_LEVEL);
  try {
    const written = await writeSnapshot(
      store,
      facts,
      codec,
      reported(image.blocks(), pages * pageSize, options.onProgress),
    );
    const { key, size, checksum } = written;
    return { kind: 'compacted', key, index, why, size, pages, checksum, frames: image.result().frames };
  } catch (error) {
    if (isKind(error, 'conflict')) return { kind: 'skipped', why: 'exists' };
    throw error;
  }
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

async function* reported(
  blocks: AsyncIterable<Buffer>,
  total: number,
  onProgress: CompactOptions['onProgress'],
): AsyncGenerator<Buffer> {
  let done = 0;
  for await (const block of blocks) {
    yield block;
    done += block.length;
    onProgress?.(done, total);
  }
}
