/** Replicas as a Litestream 0.3 writes them. */
import { ByteSource, once } from '../../replica/format/byte-source.ts';
import { lz4DecodeFrame } from '../../replica/format/lz4/frame.ts';
import { clockedStore, type ClockedStore } from './clocked-store.ts';
import { buildHistory, type History } from './history.ts';
import { frame } from './lz4-frame.ts';

const HOUR = 3_600_000;

/** A history with every object as Litestream writes it: one LZ4 frame of 4 MiB blocks. */
export async function foreignReplica(
  seed: number,
  generations = 1,
): Promise<{ store: ClockedStore; history: History }> {
  const store = clockedStore();
  const history = await buildHistory(store, {
    seed,
    generations,
    commits: 15,
    codec: 'lz4',
    checkpoints: 0.25,
    snapshots: 0.3,
    pause: HOUR,
    // Litestream ships whole transactions, and remembers no states.
    cut: { midTransaction: 0, joined: 0, notRestorable: 0 },
    clock: (time) => (store.now = time),
  });
  const stamps: [string, number][] = [];
  for await (const { key, lastModified } of store.list('')) stamps.push([key, lastModified]);
  for (const [key, lastModified] of stamps) {
    const raw = (await decoded((await store.get(key)).body))!;
    store.now = lastModified;
    await store.put(key, frame(raw, { blockId: 7, contentChecksum: true }));
  }
  return { store, history };
}

/** The content of an LZ4 frame; undefined if it does not decode. */
export async function decoded(bytes: Buffer): Promise<Buffer | undefined> {
  const raw: Buffer[] = [];
  try {
    for await (const piece of lz4DecodeFrame(new ByteSource(once(bytes)))) raw.push(piece);
  } catch {
    return undefined;
  }
  return Buffer.concat(raw);
}
