/** How old a backup is, read from the bucket alone. */
import { readHead } from '../catalogue/head.ts';
import type { Store } from '../store/store.ts';
import type { LtxHistory } from '../ltx/history.ts';
import type { Replica } from './choose.ts';
import { snapshotTime } from '../catalogue/generation.ts';
import type { Timeline } from '../catalogue/timeline.ts';

export interface BackupAge {
  /** Milliseconds since the replica was last known to hold everything; undefined if it holds nothing. */
  readonly age: number | undefined;
  /** When the shipper last said that nothing newer existed. Undefined if no head was ever written. */
  readonly seen: number | undefined;
  /** When the newest segment or LTX file arrived, by the store's clock. */
  readonly arrived: number | undefined;
}

/**
 * The backup's age at `now`, in milliseconds since 1970.
 *
 * A running shipper renews the head even if nothing changes, so the backup of an idle database stays young. A replica
 * without heads (another program's) is as old as its newest segment. `seen` is checked against the store's clock, so
 * that a shipper whose clock is ahead does not look alive after it died. Snapshots that compaction makes from existing
 * objects, also those of Litestream 0.5, do not make a backup younger.
 */
export async function backupAge(store: Store, { timeline, ltx }: Replica, now: number): Promise<BackupAge> {
  const head = await readHead(store);
  // A former shipper that is still at work in a generation that was left makes no backup younger.
  const current = timeline?.current;
  const isOfCurrent = current === undefined || head?.position.generation === current.id;
  const seen = isOfCurrent ? head?.heard : undefined;
  let arrived = ltx && newestFile(ltx);
  for (const { segments } of current === undefined ? (timeline?.generations ?? []) : [current]) {
    for (const { lastModified } of segments) arrived = Math.max(arrived ?? 0, lastModified);
  }
  const newest = Math.max(seen ?? -Infinity, arrived ?? (await newestSnapshot(store, timeline)));
  return { age: Number.isFinite(newest) ? Math.max(0, now - newest) : undefined, seen, arrived };
}

/** Of several files that end with the newest transaction, the first one brought it. The others were merged from it. */
function newestFile({ files, last }: LtxHistory): number {
  return files.reduce((age, { max, lastModified }) => (max === last ? Math.min(age, lastModified) : age), Infinity);
}

async function newestSnapshot(store: Store, timeline: Timeline | undefined): Promise<number> {
  const current = timeline?.current;
  const snapshot = current?.snapshots.at(-1);
  return current === undefined || snapshot === undefined ? -Infinity : snapshotTime(store, current.id, snapshot);
}
