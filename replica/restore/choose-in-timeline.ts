import { keyOfSnapshot, positionIn } from '../catalogue/generation.ts';
import { otherProgramWarnings } from '../catalogue/other-program.ts';
import type { Timeline } from '../catalogue/timeline.ts';
import { openSnapshot, readSnapshotFacts } from '../objects/snapshot-reader.ts';
import { DEFAULT_MEMORY, openImage } from '../image/image.ts';
import { openPages } from '../image/by-page/page-reader.ts';
import { planRestore, type RestorePlan } from '../plan/plan.ts';
import type { Store } from '../store/store.ts';
import type { Target } from '../terms/target.ts';
import type { FileImage, Restorable } from './restorable.ts';
import { writeImage } from '../image/to-file/image-writer.ts';

/** The state at a target in a replica of generations. Throws as {@link planRestore}. */
export async function chooseInTimeline(store: Store, timeline: Timeline, target: Target): Promise<Restorable> {
  const plan = await planRestore(store, timeline, target);
  const damage = timeline.damage.map((error) => error.message);
  return {
    ...restorableOf(store, plan),
    warnings: target.kind === 'latest' ? [...damage, ...otherProgramWarnings(timeline)] : damage,
  };
}

/** A plan that was made before. */
export function restorableOf(store: Store, plan: RestorePlan): Restorable {
  const segments = plan.indexes.flatMap((index) => index.segments);
  return {
    position: positionIn(plan.generation, plan.until),
    time: plan.time,
    proof: plan.proof === undefined ? 'frames' : 'recorded',
    warnings: [],
    base: { key: keyOfSnapshot(plan.generation, plan.snapshot), size: plan.snapshot.size },
    more: { objects: segments.length, bytes: segments.reduce((sum, { size }) => sum + size, 0) },
    open: (memory = DEFAULT_MEMORY) => openImage(store, plan, { memory }),
    toFile: () => fileImageOf(store, plan),
    pages: (options) => openPages(store, plan, options),
    owner: async () => (await readSnapshotFacts(store, plan.generation.id, plan.snapshot))?.file,
  };
}

async function fileImageOf(store: Store, plan: RestorePlan): Promise<FileImage> {
  const snapshot = await openSnapshot(store, plan.generation.id, plan.snapshot);
  const { facts } = snapshot;
  return {
    bytes: facts && (plan.proof?.state.pages ?? facts.pages) * facts.pageSize,
    async write(file, options) {
      const { end, ...written } = await writeImage(store, plan, snapshot, file, options);
      return { ...written, position: positionIn(plan.generation, end) };
    },
  };
}
