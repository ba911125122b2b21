/** A snapshot that the app asks for, at the end of the present index. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Codec } from '../../replica/format/codec.ts';
import { snapshotKey } from '../../replica/layout.ts';
import { writeSnapshot } from '../../replica/snapshot-writer.ts';
import type { Store } from '../../replica/store/store.ts';
import type { ShipperEvent } from '../protocol.ts';
import type { Follower } from './follower.ts';
import { fileBlocks } from './generation-start.ts';
import type { LiveDatabase } from './live-database.ts';

/** Milliseconds between two tries to seal. */
const SEAL_PAUSE = 100;

export interface SnapshotWork {
  readonly codec: Codec;
  readonly signal: AbortSignal;
  /** Puts what was captured so far into the bucket: it is the index before the snapshot, and goes first. */
  readonly shipCaptured: () => Promise<void>;
}

/**
 * Ends the index and writes the snapshot. Its pages are compared with the page hashes that capture kept, so it also
 * proves that capture missed nothing (`corrupt`, SNAPSHOT_MISMATCH otherwise). Size 0 when it was there already.
 */
export async function takeSnapshot(
  context: { readonly live: LiveDatabase; readonly store: Store; readonly emit: (event: ShipperEvent) => void },
  follower: Follower,
  work: SnapshotWork,
): Promise<{ readonly key: string; readonly size: number }> {
  const { live, store, emit } = context;
  try {
    for (;;) {
      const sealed = follower.sealForSnapshot();
      if (sealed.kind === 'sealed') break;
      if (sealed.kind === 'blocked') emit({ type: 'blocked', by: sealed.by });
      await sleep(SEAL_PAUSE, undefined, { signal: work.signal });
    }
    const { generation, index, state } = follower.point;
    const facts = { generation, index, pageSize: live.pageSize, ...state, reason: 'request', file: live.owner() };
    await work.shipCaptured();
    const key = snapshotKey(generation, index, work.codec.name);
    // Nothing was committed since the last one, or a compaction was faster.
    if ((await store.head(key)) !== undefined) return { key, size: 0 };
    const blocks = fileBlocks(live, state.pages, work.signal, (done, total) => {
      emit({ type: 'progress', what: 'snapshot', done, total });
    });
    const { size } = await writeSnapshot(store, facts, work.codec, blocks);
    emit({ type: 'snapshot', key, bytes: size });
    return { key, size };
  } finally {
    live.releaseSnapshot();
  }
}
