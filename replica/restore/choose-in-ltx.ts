/** Chooses a state from LTX files. */
import { SeawallError } from '../terms/errors.ts';
import { DEFAULT_MEMORY } from '../image/image.ts';
import type { Restorable } from './restorable.ts';
import type { Store } from '../store/store.ts';
import { formatTxid, type Target } from '../terms/target.ts';
import { filesFor, latestState, stateAt, stateOf, stateTime, type LtxHistory, type LtxState } from '../ltx/history.ts';
import { openLtxImage, readChain } from '../image/ltx-image.ts';
import { openLtxState } from '../image/by-page/ltx-page-reader.ts';

/** The state at a target. Throws `point` if it cannot be reached, `corrupt` if files are missing or damaged. */
export async function chooseLtx(store: Store, history: LtxHistory, target: Target): Promise<Restorable> {
  const state = await stateFor(store, history, target);
  const files = filesFor(history, state);
  const [base, ...more] = files;
  const position = formatTxid(state.txid);
  const chain = await readChain(store, files);
  const time = await stateTime(store, state);
  const { pageSize, pages } = chain.headers.at(-1)!;
  return {
    position,
    time,
    proof: chain.headers.at(-1)!.tracksChecksum ? 'recorded' : 'files',
    warnings: [],
    base: { key: base.key, size: base.size },
    more: { objects: more.length, bytes: more.reduce((sum, { size }) => sum + size, 0) },
    open: (memory = DEFAULT_MEMORY) => openLtxImage(store, chain, position, memory),
    toFile: () =>
      Promise.resolve({
        bytes: pages * pageSize,
        async write(file, { memory = DEFAULT_MEMORY, onProgress }) {
          const image = await openLtxImage(store, chain, position, memory);
          let done = 0;
          for await (const block of image.blocks()) {
            await file.write(block, done);
            done += block.length;
            onProgress?.(done, pages * pageSize);
          }
          return { ...image.result(), pageSize, position };
        },
      }),
    pages: () => openLtxState(store, chain, position, time),
    owner: () => Promise.resolve(undefined),
  };
}

async function stateFor(store: Store, history: LtxHistory, target: Target): Promise<LtxState> {
  switch (target.kind) {
    case 'latest':
      return latestState(history);
    case 'time':
      return stateAt(store, history, target.time);
    case 'txid':
      return stateOf(history, target.txid);
    case 'position': {
      const message =
        'a replica of Litestream 0.5 has no generations; name a transaction, such as txid:000000000000002a';
      throw new SeawallError('point', 'POINT_OF_OTHER_FORMAT', message);
    }
  }
}
