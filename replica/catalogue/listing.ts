/** Generations as a listing shows them. */
import { levelFolders } from '../ltx/layout.ts';
import type { SegmentRef } from '../objects/segment-reader.ts';
import type { SnapshotRef } from '../objects/snapshot-reader.ts';
import type { Store } from '../store/store.ts';
import { SeawallError } from '../terms/errors.ts';
import { GENERATIONS, generationPrefix, parseKey } from '../terms/layout.ts';
import { comparePlaces } from '../terms/position.ts';
import type { Generation } from './generation.ts';
import { settlePlaces } from './settled-places.ts';

/** `foreign`: keys that are neither snapshots nor segments. */
export interface Listed {
  readonly generations: Generation[];
  readonly foreign: string[];
}

/** One generation as it is now; undefined if nothing of it is there. */
export async function listGeneration(store: Store, id: string): Promise<Generation | undefined> {
  const { generations } = await listBelow(store, generationPrefix(id));
  return generations[0];
}

/** All generations, in no order. Throws `missing` (REPLICA_EMPTY) and `unsupported` (LTX_REPLICA) if there is none. */
export async function listObjects(store: Store): Promise<Listed> {
  const listed = await listBelow(store, GENERATIONS);
  if (listed.generations.length > 0) return listed;
  if ((await levelFolders(store)).length > 0) {
    const message = `${store.url} holds LTX files of Litestream 0.5, which compacts and retains them itself`;
    throw new SeawallError('unsupported', 'LTX_REPLICA', message);
  }
  throw new SeawallError('missing', 'REPLICA_EMPTY', `there is no replica at ${store.url}. Check bucket and prefix.`);
}

async function listBelow(store: Store, prefix: string): Promise<Listed> {
  const found = new Map<string, { snapshots: SnapshotRef[]; segments: SegmentRef[] }>();
  const foreign: string[] = [];
  for await (const { key, size, lastModified } of store.list(prefix)) {
    const name = parseKey(key);
    if (name === undefined) {
      foreign.push(key);
      continue;
    }
    let generation = found.get(name.generation);
    if (generation === undefined) found.set(name.generation, (generation = { snapshots: [], segments: [] }));
    if (name.kind === 'snapshot') {
      generation.snapshots.push({ index: name.index, codec: name.codec, size, lastModified });
    } else {
      generation.segments.push({ index: name.index, offset: name.offset, codec: name.codec, size, lastModified });
    }
  }
  const generations: Generation[] = [];
  for (const [id, { snapshots, segments }] of found) {
    snapshots.sort((a, b) => a.index - b.index);
    segments.sort(comparePlaces);
    generations.push({ id, snapshots, ...(await settlePlaces(store, id, segments)) });
  }
  return { generations, foreign };
}
