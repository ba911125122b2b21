/**
 * A state that was chosen to be restored, whatever the format of the replica it lies in. Everything that restores
 * stands on this: to a file, to an object, to nowhere.
 */
import type { FileOwner } from './format/snapshot.ts';
import { DEFAULT_MEMORY, openImage, type Image } from './image.ts';
import type { ImageResult, Proof } from './image-proof.ts';
import { writeImage, type ImageWriteOptions } from './image-writer.ts';
import { openPages, type OpenAtOptions } from './page-reader.ts';
import type { PastState } from './past-state.ts';
import { planRestore, type RestorePlan } from './plan.ts';
import { formatPosition } from './position.ts';
import { openSnapshot, readSnapshotFacts } from './snapshot-reader.ts';
import type { Store } from './store/store.ts';
import type { Target } from './target.ts';
import { keyOfSnapshot } from './generation.ts';
import { besideWords } from './other-program.ts';
import type { Timeline } from './timeline.ts';
import type { PageFile } from './written-file.ts';

export interface Restorable {
  /** As one would ask for it; where the end of an index is not known before its WAL is read, only roughly. */
  readonly position: string;
  /** When the state was captured, milliseconds since 1970; by the store's clock where nothing recorded it. */
  readonly time: number;
  /** What a restore will prove. */
  readonly proof: Proof;
  /** What was found damaged on the way and does not matter to this state, in words. */
  readonly warnings: readonly string[];
  /** The object that holds a whole database to begin with: its key, and its stored bytes. */
  readonly base: { readonly key: string; readonly size: number };
  /** Other objects to be read, and their stored bytes. */
  readonly more: { readonly objects: number; readonly bytes: number };
  /**
   * In blocks, in order.
   *
   * @param memory bytes of pages held at a time
   */
  open(memory?: number): Promise<Image>;
  /** Into a file, in whatever order is quickest. */
  toFile(): Promise<FileImage>;
  /** The same for reading single pages. */
  pages(options?: OpenAtOptions): Promise<PastState>;
  /** Permissions and owner of the original, where they were recorded. */
  owner(): Promise<FileOwner | undefined>;
}

/** A state that is ready to be written into a file. */
export interface FileImage {
  /** How large it will be; undefined where another program's snapshot does not say. */
  readonly bytes: number | undefined;
  /** Writes into an empty file, which is worth nothing unless this returns. */
  readonly write: (file: PageFile, options: ImageWriteOptions) => Promise<WrittenState>;
}

export interface WrittenState extends ImageResult {
  readonly pageSize: number;
  /** The exact end of what is applied. */
  readonly position: string;
}

/** The state at a target in a replica of generations. Throws as {@link planRestore}. */
export async function chooseInTimeline(store: Store, timeline: Timeline, target: Target): Promise<Restorable> {
  const plan = await planRestore(store, timeline, target);
  const damage = timeline.damage.map((error) => error.message);
  return {
    ...restorableOf(store, plan),
    warnings: target.kind === 'latest' ? [...damage, ...besideWords(timeline)] : damage,
  };
}

/** A plan that was made before. */
export function restorableOf(store: Store, plan: RestorePlan): Restorable {
  const segments = plan.indexes.flatMap((index) => index.segments);
  return {
    position: formatPosition({ generation: plan.generation.id, ...plan.until }),
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
      return { ...written, position: formatPosition({ generation: plan.generation.id, ...end }) };
    },
  };
}
