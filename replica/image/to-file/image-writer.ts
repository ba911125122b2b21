/**
 * Writes a past state into a file as fast as the disk takes it. The WAL is read once, whatever its size: its pages are
 * collected in memory, and pages that do not fit are written to their place. The snapshot's blocks are fetched
 * concurrently and in any order. Threads begin with them while the WAL is still read; the other blocks are written with
 * the pages that are held, and without those that the file already has. So each byte of the file is written about once.
 * Memory is bounded: the blocks under way, the budget for WAL pages, and nine bytes for each page of the database.
 */
import { BlockRestorer } from './block-restorer.ts';
import { firstPageSize } from '../../objects/foreign-snapshot.ts';
import { BLOCK_SIZE } from '../../format/block-size.ts';
import { PageHashes } from '../../format/page-hashes.ts';
import { proveState, type ImageResult } from '../image-proof.ts';
import type { RestorePlan } from '../../plan/plan.ts';
import { isBlockSnapshot, type OpenSnapshot } from '../../objects/snapshot-reader.ts';
import type { Store } from '../../store/store.ts';
import { StreamedBase } from './streamed-base.ts';
import { UnpackingPool, worthwhileThreads } from './unpacking-pool.ts';
import { walkWal, type WalWalk } from '../wal-scan.ts';
import { WalWriter } from './wal-writer.ts';
import { WriteProgress } from './write-progress.ts';
import type { PageFile } from './target-file.ts';

/**
 * Bytes of WAL pages held in memory: a share of what is free, within bounds. At least `ofAll` if that holds all pages,
 * because a page written by itself, with the blocks around it in pieces, costs more than its bytes.
 */
const WRITE_MEMORY = { share: 1 / 32, least: 16 << 20, most: 128 << 20, ofAll: 32 << 20 };

/** How a state is written into a file. */
export interface ImageWriteOptions {
  /** Bytes of WAL pages held in memory. @default a 32nd of the free memory, from 16 to 128 MiB */
  readonly memory?: number;
  /** Threads that decode beside the main one. @default as many as the machine has processors for, if they pay */
  readonly threads?: number;
  /** Called now and then with bytes written so far and in all; the latter is undefined until it is known. */
  readonly onProgress?: (done: number, total: number | undefined) => void;
}

export interface WrittenImage extends ImageResult {
  readonly pageSize: number;
  /** The exact end of what is applied. */
  readonly end: WalWalk['end'];
}

/**
 * Writes the state of a plan into an empty file, and compares all of its pages with the recorded checksum. Do not use
 * the file unless this returns. `snapshot` is the plan's. Throws `corrupt`, `point`, `missing`, `unreachable`, and what
 * the file throws.
 */
export async function writeImage(
  store: Store,
  plan: RestorePlan,
  snapshot: OpenSnapshot,
  file: PageFile,
  options: ImageWriteOptions = {},
): Promise<WrittenImage> {
  const { facts } = snapshot;
  const ours = isBlockSnapshot(snapshot) ? snapshot : undefined;
  const threads =
    ours === undefined || file.fd === undefined ? 0 : (options.threads ?? worthwhileThreads(ours.table.length));
  const memory = Math.max(options.memory ?? memoryFor(plan), 2 * BLOCK_SIZE);
  await using pool = new UnpackingPool(threads);
  let hashes = facts && new PageHashes(facts.pageSize, facts.pages);
  let wal: WalWriter | undefined;
  const progress = new WriteProgress(options.onProgress);
  await using blocks = ours && new BlockRestorer(ours, file, hashes!, pool, progress);
  blocks?.begin(() => wal);
  const walk = await walkWal(store, plan, snapshot, (pageSize) => {
    hashes ??= new PageHashes(pageSize);
    progress.total = plan.proof && plan.proof.state.pages * pageSize;
    return (wal = new WalWriter(file, hashes, memory, progress, blocks));
  });
  hashes ??= new PageHashes(await firstPageSize(snapshot));
  const { pageSize } = hashes;
  const known = walk.pages ?? facts?.pages;
  progress.total = known === undefined ? undefined : known * pageSize;
  let seen = 0;
  if (blocks !== undefined) await blocks.finish(wal);
  else {
    await wal?.finish();
    seen = await new StreamedBase(file, hashes, walk, wal, progress).write(snapshot);
  }
  const pages = known ?? seen;
  wal?.close();
  await file.truncate(pages * pageSize);
  hashes.commit(pages);
  proveState(hashes, plan, walk.towardsProof);
  options.onProgress?.(pages * pageSize, pages * pageSize);
  return {
    pageSize,
    pages,
    checksum: hashes.checksum,
    proof: plan.proof === undefined ? 'frames' : 'recorded',
    frames: walk.frames,
    walPages: wal?.pages ?? 0,
    end: walk.end,
  };
}

/** Estimates the WAL's length from the listing, which knows only the stored bytes of an index's last segment. */
function memoryFor({ indexes }: RestorePlan): number {
  const ends = indexes.map(({ segments }) => segments.at(-1)).map((last) => (last === undefined ? 0 : last.offset + 2 * last.size)); // prettier-ignore
  const bytes = ends.reduce((sum, end) => sum + end, 0);
  const { share, least, most, ofAll } = WRITE_MEMORY;
  const room = Math.min(Math.max(process.availableMemory() * share, least), most);
  return bytes <= ofAll ? Math.max(room, ofAll) : room;
}
