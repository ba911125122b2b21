/**
 * Does for a folder what the Lambda functions do on a bucket's events: each completed WAL index starts compaction and
 * then retention. An index is complete when the first segment of the next one appears, so only keys that end in
 * `_00000000.wal.lz4` count; S3 would filter its notifications by that suffix.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compact, openStore, retain, type CompactionOutcome, type RetainReport, type Store } from 'seawall/replica';

const COMPLETED = /^(.+)\/generations\/[0-9a-f]{16}\/wal\/([0-9a-f]{8})_00000000\.wal\.lz4$/;
const POLL = 250;

export interface BucketState {
  readonly objects: number;
  readonly bytes: number;
}

export interface BucketEventsOptions {
  readonly bucket: string;
  /** Milliseconds for which every moment is kept. */
  readonly window: number;
  /** Ends the watch after its current work. */
  readonly signal: AbortSignal;
  readonly onLook: (state: BucketState) => void;
  readonly onCompacted: (outcome: CompactionOutcome, milliseconds: number) => void;
  readonly onRetained: (report: RetainReport) => void;
}

/** Watches a folder of databases and looks after each, until told to stop. */
export async function followBucket(options: BucketEventsOptions): Promise<void> {
  const store = await openStore(options.bucket);
  const known = new Set<string>();
  try {
    while (!options.signal.aborted) {
      for (const database of await news(store, known, options.onLook)) await lookAfter(database, options);
      await sleep(POLL, undefined, { signal: options.signal }).catch(() => undefined);
    }
  } finally {
    await store.close();
  }
}

/** The databases of which an index was completed since the last look. A folder sends no events, so it is listed. */
async function news(
  store: Store,
  known: Set<string>,
  onLook: (state: BucketState) => void,
): Promise<ReadonlySet<string>> {
  const databases = new Set<string>();
  let objects = 0;
  let bytes = 0;
  for await (const { key, size } of store.list('')) {
    objects++;
    bytes += size;
    const [, database, index] = COMPLETED.exec(key) ?? [];
    if (database === undefined || known.has(key)) continue;
    known.add(key);
    if (index !== '00000000') databases.add(database); // the first index completes no other
  }
  onLook({ objects, bytes });
  return databases;
}

async function lookAfter(database: string, options: BucketEventsOptions): Promise<void> {
  const store = await openStore(join(options.bucket, database));
  try {
    const from = performance.now();
    options.onCompacted(await compact(store, { now: Date.now() }), performance.now() - from);
    // A window of seconds and no grace, so that deletions happen in this run; real values are days and hours.
    options.onRetained(await retain(store, { policy: { window: options.window, grace: 0 }, now: Date.now() }));
  } finally {
    await store.close();
  }
}
