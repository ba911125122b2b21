/** A snapshot that the app asks for, at the end of the present index. */
import type { Codec } from '../../../replica/format/codec.ts';
import { snapshotKey } from '../../../replica/terms/layout.ts';
import { writeSnapshot } from '../../../replica/objects/snapshot-writer.ts';
import type { Store } from '../../../replica/store/store.ts';
import type { Clock } from '../../clock.ts';
import type { ShipperEvent } from '../../protocol.ts';
import type { Follower } from '../capture/follower.ts';
import { underHeldSnapshot, type HoldLimits, type HoldSettings } from './held-snapshot.ts';
import type { LiveDatabase, SealResult } from '../database/live-database.ts';
import type { FairSemaphore } from '../sharing/fair-semaphore.ts';

export interface SnapshotWork {
  readonly codec: Codec;
  readonly signal: AbortSignal;
  readonly limits: HoldLimits;
  /** The caller has a turn of these. */
  readonly wholeReads: FairSemaphore;
  /** See {@link HoldSettings}. */
  readonly onBlocked: HoldSettings['onBlocked'];
  /**
   * Captures and ships all that is committed: it goes on while a reader of the app keeps the snapshot from beginning.
   */
  readonly shipCommitted: (signal: AbortSignal) => Promise<void>;
  /** Uploads what was captured so far. It belongs to the index before the snapshot, so it goes first. */
  readonly shipCaptured: (signal: AbortSignal) => Promise<void>;
}

/**
 * Ends the index and writes the snapshot. Compares its pages with the page hashes of the capture, which proves that the
 * capture missed nothing; throws `corrupt` (SNAPSHOT_MISMATCH) otherwise. `size` is in bytes, 0 if the snapshot was
 * already there. In any case the follower goes on from the end of that index.
 */
export async function takeSnapshot(
  context: {
    readonly live: LiveDatabase;
    readonly store: Store;
    readonly clock: Clock;
    readonly emit: (event: ShipperEvent) => void;
  },
  follower: Follower,
  work: SnapshotWork,
): Promise<{ readonly key: string; readonly size: number }> {
  const { live, store, emit, clock } = context;
  const settings = {
    clock,
    signal: work.signal,
    limits: work.limits,
    wholeReads: work.wholeReads,
    onBlocked: work.onBlocked,
    before: work.shipCommitted,
  };
  const hold = (locking: boolean): SealResult => follower.hold(locking);
  return underHeldSnapshot(live, hold, settings, async ({ image }, signal, progressed) => {
    const { generation, index, state } = follower.point;
    const facts = { generation, index, pageSize: live.pageSize, ...state, reason: 'request', file: live.files.owner() };
    await work.shipCaptured(signal);
    progressed();
    const key = snapshotKey(generation, index, work.codec.name);
    // Nothing was committed since the last snapshot, or a compaction was faster.
    if ((await store.head(key)) !== undefined) return { key, size: 0 };
    const blocks = image.blocks(signal, (done, total) => {
      progressed();
      emit({ type: 'progress', what: 'snapshot', done, total });
    });
    const { size } = await writeSnapshot(store, facts, work.codec, blocks);
    emit({ type: 'snapshot', key, bytes: size });
    return { key, size };
  });
}
