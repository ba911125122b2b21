/**
 * The image of a database at a point: its pages in order, from a snapshot and the WAL laid over it.
 *
 * Everything that needs a past state stands on this: restore writes it to a file, compaction into a new snapshot,
 * verify and drill nowhere. Memory is bounded however large database and WAL are: where the pages that the WAL holds
 * exceed the budget, the image is made in passes over page ranges, each reading the WAL again.
 */
import { sameState, walGap } from './chain.ts';
import { corrupt, SeawallError } from './errors.ts';
import { formatChecksum, hashPage, PageHashes } from './format/page-hashes.ts';
import { BLOCK_SIZE } from './format/lz4.ts';
import { stateAfter, type DatabaseState } from './format/segment.ts';
import { snapshotKey } from './layout.ts';
import { Overlay } from './overlay.ts';
import type { RestorePlan } from './plan.ts';
import { formatPosition } from './position.ts';
import { readIndex } from './segment-reader.ts';
import { databasePageSize, openSnapshot, type OpenSnapshot } from './snapshot-reader.ts';
import type { Store } from './store/store.ts';
import { lockPage } from './wal/format.ts';
import type { Frame } from './wal/cursor.ts';

/** Bytes of WAL pages held in memory at a time, unless told otherwise. */
export const DEFAULT_MEMORY = 24 << 20;

export interface Image {
  /** Bytes; known before the first block. */
  readonly pageSize: number;
  /** Pages of the state; for a snapshot of another program's without WAL known only after the last block. */
  readonly pages: number | undefined;
  /** The exact end of what is applied. */
  readonly end: { readonly index: number; readonly offset: number };
  /**
   * The database file in pieces of 1 MiB, in order. After the last one the page hashes are compared with the recorded
   * checksum; a difference throws `corrupt` (RESTORE_CHECKSUM), so nothing may be made visible before the end.
   */
  blocks(): AsyncGenerator<Buffer>;
  /** What was proven; call after the last block. */
  result(): ImageResult;
}

export interface ImageResult {
  readonly pages: number;
  readonly checksum: bigint;
  /** `recorded`: equal to the checksum taken from the live database. `frames`: only the WAL's own checksums. */
  readonly proof: 'recorded' | 'frames';
  /** Frames of WAL that were read, and pages they changed. */
  readonly frames: number;
  readonly walPages: number;
}

export async function openImage(
  store: Store,
  plan: RestorePlan,
  options: { readonly memory?: number } = {},
): Promise<Image> {
  const snapshot = await openSnapshot(store, plan.generation.id, plan.snapshot);
  const memory = Math.max(options.memory ?? DEFAULT_MEMORY, 2 * BLOCK_SIZE);
  const scan = await scanWal(store, plan, memory, snapshot);
  const pageSize = scan.pageSize ?? snapshot.facts?.pageSize ?? (await foreignPageSize(snapshot));
  return new WalImage(store, plan, snapshot, scan, pageSize, memory);
}

interface Scan {
  /** Undefined when there is no WAL to replay. */
  readonly pageSize: number | undefined;
  readonly overlay: Overlay | undefined;
  /** Pages after the last commit applied. */
  readonly pages: number | undefined;
  /** The fewest pages the database had on the way; what lay behind is not the snapshot's any more. */
  readonly fewest: number;
  readonly end: { readonly index: number; readonly offset: number };
  readonly frames: number;
  /** Page hashes and commits between the end and the proof. */
  readonly towardsProof: readonly { readonly page: number; readonly hash: bigint; readonly commitPages: number }[];
}

/** Reads the WAL once: finds which pages it holds, keeps their content while it fits, and checks the end point. */
async function scanWal(store: Store, plan: RestorePlan, memory: number, snapshot: OpenSnapshot): Promise<Scan> {
  let overlay: Overlay | undefined;
  let pages: number | undefined;
  let fewest = Number.MAX_SAFE_INTEGER;
  let frames = 0;
  let end = { index: plan.snapshot.index, offset: 0 };
  let previous = { offset: 0, commit: true };
  let past = false;
  let missed = false;
  const towardsProof: { page: number; hash: bigint; commitPages: number }[] = [];
  for await (const { index, frame, pageSize } of planFrames(store, plan, snapshot.facts)) {
    if (snapshot.facts !== undefined && pageSize !== snapshot.facts.pageSize) {
      throw corrupt(
        'PAGE_SIZE_CHANGED',
        `pages of ${pageSize} bytes in the WAL after ${snapshot.facts.pageSize} in the snapshot`,
        {
          key: snapshot.key,
          position: formatPosition({ generation: plan.generation.id, index, offset: frame.end }),
        },
      );
    }
    overlay ??= new Overlay(pageSize, memory);
    frames++;
    if (!past && index === plan.until.index && frame.end > plan.until.offset) {
      missed ||= !previous.commit || previous.offset !== plan.until.offset;
      // The commit that ends the transaction is the nearest point after the one asked for.
      if (missed && frame.commitPages !== 0) throw notACommit(plan, end, frame.end);
      if (missed) continue;
      past = true;
    }
    previous = { offset: frame.end, commit: frame.commitPages !== 0 };
    if (past) {
      towardsProof.push({
        page: frame.page,
        hash: hashPage(frame.page, frame.content),
        commitPages: frame.commitPages,
      });
      continue;
    }
    overlay.put(frame.page, frame.content);
    if (frame.commitPages === 0) continue;
    overlay.truncate(frame.commitPages);
    pages = frame.commitPages;
    fewest = Math.min(fewest, pages);
    end = { index, offset: frame.end };
  }
  if (missed) throw notACommit(plan, end, undefined);
  if (!past && plan.indexes.length > 0 && !previous.commit) throw unfinished(plan, end);
  return { pageSize: overlay?.pageSize, overlay, pages, fewest, end, frames, towardsProof };
}

/** `next`: where in the same index the next commit ends, if there is one. */
function notACommit(plan: RestorePlan, lastCommit: Scan['end'], next: number | undefined): SeawallError {
  const generation = plan.generation.id;
  const position = formatPosition({ generation, ...plan.until });
  const before = formatPosition({ generation, ...lastCommit });
  const after = next === undefined ? undefined : formatPosition({ generation, index: plan.until.index, offset: next });
  const nearest = `Nearest before: ${before}.${after === undefined ? '' : ` Nearest after: ${after}.`}`;
  return new SeawallError('point', 'POINT_NOT_A_COMMIT', `${position} is not the end of a commit. ${nearest}`, {
    position,
    before,
    ...(after !== undefined && { after }),
  });
}

function unfinished(plan: RestorePlan, lastCommit: Scan['end']): SeawallError {
  const before = formatPosition({ generation: plan.generation.id, ...lastCommit });
  return corrupt('WAL_UNFINISHED', `the WAL ends inside a transaction after ${before}`, { before });
}

/** All frames of a plan in order. With the snapshot's state, checks that each segment continues what came before. */
async function* planFrames(
  store: Store,
  plan: RestorePlan,
  start?: DatabaseState,
): AsyncGenerator<{ readonly index: number; readonly frame: Frame; readonly pageSize: number }> {
  let state = start;
  for (const { index, segments } of plan.indexes) {
    let commit = true;
    for await (const { frames, header, segment } of readIndex(store, plan.generation.id, index, segments)) {
      if (header !== undefined && state !== undefined && !sameState(state, header.before)) {
        throw walGap(plan.generation.id, segment);
      }
      state = header && stateAfter(header);
      for (const frame of frames) {
        if (index === plan.until.index && plan.proof !== undefined && frame.end > plan.proof.offset) return;
        commit = frame.commitPages !== 0;
        yield { index, frame, pageSize: frame.content.length };
      }
    }
    if (!commit && index < plan.until.index) {
      throw corrupt('WAL_UNFINISHED', `WAL index ${index} ends inside a transaction although another follows`, {
        position: formatPosition({ generation: plan.generation.id, index, offset: 0 }),
      });
    }
  }
}

class WalImage implements Image {
  readonly pageSize: number;
  readonly end: Scan['end'];
  readonly #store: Store;
  readonly #plan: RestorePlan;
  readonly #snapshot: OpenSnapshot;
  readonly #scan: Scan;
  readonly #memory: number;
  readonly #hashes: PageHashes;
  #seen = 0;
  #done = false;

  constructor(store: Store, plan: RestorePlan, snapshot: OpenSnapshot, scan: Scan, pageSize: number, memory: number) {
    this.#store = store;
    this.#plan = plan;
    this.#snapshot = snapshot;
    this.#scan = scan;
    this.#memory = memory;
    this.pageSize = pageSize;
    this.end = scan.end;
    this.#hashes = new PageHashes(pageSize, this.pages ?? 0);
  }

  get pages(): number | undefined {
    return this.#scan.pages ?? this.#snapshot.facts?.pages;
  }

  async *blocks(): AsyncGenerator<Buffer> {
    const perBlock = BLOCK_SIZE / this.pageSize;
    const total = this.pages === undefined ? Number.MAX_SAFE_INTEGER : Math.ceil(this.pages / perBlock);
    const base = this.#snapshot.blocks((block) => block * perBlock < this.#scan.fewest);
    try {
      let overlay = this.#scan.overlay?.complete === true ? this.#scan.overlay : undefined;
      for (let block = 0; block < total; block++) {
        const first = block * perBlock + 1;
        if (this.#scan.overlay?.complete === false && (overlay === undefined || first > overlay.last)) {
          overlay = await this.#overlayFrom(first, perBlock);
        }
        const { value } = await base.next();
        if (value === undefined && this.pages === undefined) break;
        const raw = this.#compose(block, first, value ?? undefined, overlay);
        for (let at = 0, page = first; at < raw.length; at += this.pageSize, page++) {
          this.#hashes.set(page, raw.subarray(at, at + this.pageSize));
        }
        this.#seen = first - 1 + raw.length / this.pageSize;
        yield raw;
        if (this.pages === undefined && raw.length < BLOCK_SIZE) break;
      }
    } finally {
      await base.return(undefined);
    }
    this.#prove();
    this.#done = true;
  }

  result(): ImageResult {
    if (!this.#done) throw new Error('the image has not been read to its end');
    return {
      pages: this.#hashes.pages,
      checksum: this.#hashes.checksum,
      proof: this.#plan.proof === undefined ? 'frames' : 'recorded',
      frames: this.#scan.frames,
      walPages: this.#scan.overlay?.pages ?? 0,
    };
  }

  /** One block of the state: the snapshot's pages that still count, zeros behind them, the WAL's pages over both. */
  #compose(block: number, first: number, base: Buffer | undefined, overlay: Overlay | undefined): Buffer {
    const pages = this.pages;
    if (pages === undefined) return base!;
    const length = Math.min(BLOCK_SIZE, (pages - first + 1) * this.pageSize);
    const keep = Math.max(0, Math.min(length, (this.#scan.fewest - first + 1) * this.pageSize, base?.length ?? 0));
    let raw: Buffer;
    if (base !== undefined && keep >= length) raw = base.subarray(0, length);
    else {
      raw = Buffer.alloc(length);
      base?.copy(raw, 0, 0, keep);
    }
    overlay?.applyTo(raw, first);
    return raw;
  }

  /** Reads the WAL again for as many pages from `first` on as fit the budget, in whole blocks. */
  async #overlayFrom(first: number, perBlock: number): Promise<Overlay> {
    const scanned = this.#scan.overlay!;
    const last = scanned.rangeWithin(first, perBlock, Math.floor(this.#memory / this.pageSize));
    const overlay = new Overlay(this.pageSize, this.#memory, { first, last });
    for await (const { index, frame } of planFrames(this.#store, this.#plan)) {
      if (index === this.#plan.until.index && frame.end > this.#plan.until.offset) break;
      // Pages that a later shrink takes away again are not in the scanned set and need no room here.
      if (scanned.has(frame.page)) overlay.put(frame.page, frame.content);
      if (frame.commitPages !== 0) overlay.truncate(frame.commitPages);
    }
    return overlay;
  }

  #prove(): void {
    this.#hashes.commit(this.pages ?? this.#seen);
    const { proof } = this.#plan;
    if (proof === undefined) return;
    const at = this.#scan.towardsProof.length === 0 ? this.#hashes : this.#hashes.clone();
    for (const { page, hash, commitPages } of this.#scan.towardsProof) {
      at.setHash(page, page === lockPage(this.pageSize) ? 0n : hash);
      if (commitPages !== 0) at.commit(commitPages);
    }
    checkState(at, proof.state, this.#plan);
  }
}

function checkState(actual: PageHashes, expected: DatabaseState, plan: RestorePlan): void {
  if (actual.pages === expected.pages && actual.checksum === expected.checksum) return;
  const position = formatPosition({ generation: plan.generation.id, ...plan.until });
  throw corrupt(
    'RESTORE_CHECKSUM',
    `the restored pages do not add up to the checksum taken from the live database at ${position}`,
    {
      key: snapshotKey(plan.generation.id, plan.snapshot.index, plan.snapshot.codec),
      position,
      expected: formatChecksum(expected.checksum),
      actual: formatChecksum(actual.checksum),
    },
  );
}

async function foreignPageSize(snapshot: OpenSnapshot): Promise<number> {
  const blocks = snapshot.blocks();
  try {
    const first = await blocks.next();
    if (first.value === undefined) throw corrupt('NOT_A_DATABASE', 'the snapshot is empty', { key: snapshot.key });
    return databasePageSize(first.value);
  } finally {
    await blocks.return(undefined);
  }
}
