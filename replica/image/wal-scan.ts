/** The WAL of a restore plan, read once: which pages it holds, how the database grew and shrank, where it ends. */
import { sameState, walGap } from '../plan/chain.ts';
import { corrupt, SeawallError } from '../terms/errors.ts';
import { hashPage } from '../format/xxhash.ts';
import { stateAfter } from '../format/segment.ts';
import type { DatabaseState } from '../terms/database-state.ts';
import { WalPageCache } from './wal-page-cache.ts';
import type { RestorePlan } from '../plan/plan.ts';
import { positionIn } from '../catalogue/generation.ts';
import type { Place } from '../terms/position.ts';
import { readWal, type SegmentRef } from '../objects/segment-reader.ts';
import type { OpenSnapshot } from '../objects/snapshot-reader.ts';
import type { Store } from '../store/store.ts';
import type { Frame } from '../wal/cursor.ts';

export interface WalWalk {
  /** Bytes; undefined if there is no WAL to replay. */
  readonly pageSize: number | undefined;
  /** Pages after the last commit applied. */
  readonly pages: number | undefined;
  /** The fewest pages the database had on the way; pages after these are not the snapshot's any more. */
  readonly fewest: number;
  readonly end: Place;
  readonly frames: number;
  /** Page hashes and commits between the end and the proof. */
  readonly towardsProof: readonly { readonly page: number; readonly hash: bigint; readonly commitPages: number }[];
}

/** Receives what a WAL does to the pages of a database, in order. Reading waits for each promise it returns. */
export interface WalSink {
  /** The frame's content is valid until the returned promise has settled. */
  put(frame: Frame, segment: SegmentRef): Promise<void> | undefined;
  /** A commit: the database now has so many pages, and pages after these are gone. */
  commit(pages: number): Promise<void> | undefined;
}

/**
 * Reads the WAL of a plan once, passes on what must be applied, and checks that the plan ends where a commit ends.
 * Throws `point` (POINT_NOT_A_COMMIT), `corrupt`, `missing`, `unreachable`, `denied`.
 *
 * @param begin makes the sink as soon as the page size is known
 */
export async function walkWal(
  store: Store,
  plan: RestorePlan,
  snapshot: OpenSnapshot,
  begin: (pageSize: number) => WalSink,
): Promise<WalWalk> {
  const walker = new Walker(plan, snapshot, begin);
  for await (const { segment, frames } of planFrames(store, plan, snapshot.facts)) {
    for (const frame of frames) {
      const busy = walker.take(segment, frame);
      if (busy !== undefined) await busy;
    }
  }
  return walker.finish();
}

export interface WalScan extends WalWalk {
  readonly overlay: WalPageCache | undefined;
}

/** Reads the WAL once as `walkWal` does, and keeps the content of its pages as long as it fits `memory` bytes. */
export async function scanWal(
  store: Store,
  plan: RestorePlan,
  memory: number,
  snapshot: OpenSnapshot,
): Promise<WalScan> {
  let overlay: WalPageCache | undefined;
  const walk = await walkWal(store, plan, snapshot, (pageSize) => {
    const held = (overlay = new WalPageCache(pageSize, memory));
    return {
      put({ page, content }) {
        held.put(page, content);
        return undefined;
      },
      commit(pages) {
        held.truncate(pages);
        return undefined;
      },
    };
  });
  return { ...walk, overlay };
}

class Walker {
  readonly #plan: RestorePlan;
  readonly #snapshot: OpenSnapshot;
  readonly #begin: (pageSize: number) => WalSink;
  #sink: WalSink | undefined;
  #pageSize: number | undefined;
  #pages: number | undefined;
  #fewest = Number.MAX_SAFE_INTEGER;
  #frames = 0;
  #end: WalWalk['end'];
  #previous = { offset: 0, commit: true };
  /** The end point has been passed; what follows leads to the proof. */
  #past = false;
  /** The end point is not the end of a commit. */
  #missed = false;
  readonly #towardsProof: { page: number; hash: bigint; commitPages: number }[] = [];

  constructor(plan: RestorePlan, snapshot: OpenSnapshot, begin: (pageSize: number) => WalSink) {
    this.#plan = plan;
    this.#snapshot = snapshot;
    this.#begin = begin;
    this.#end = { index: plan.snapshot.index, offset: 0 };
  }

  take(segment: SegmentRef, frame: Frame): Promise<void> | undefined {
    const { until } = this.#plan;
    const { page, commitPages, content, end } = frame;
    const { index } = segment;
    const sink = (this.#sink ??= this.#beginAt(index, frame));
    this.#frames++;
    if (!this.#past && index === until.index && end > until.offset) {
      this.#missed ||= !this.#previous.commit || this.#previous.offset !== until.offset;
      // The commit that ends the transaction is the nearest point after the one asked for.
      if (this.#missed && commitPages !== 0) throw notACommit(this.#plan, this.#end, end);
      if (this.#missed) return undefined;
      this.#past = true;
    }
    this.#previous = { offset: end, commit: commitPages !== 0 };
    if (this.#past) {
      this.#towardsProof.push({ page, hash: hashPage(page, content), commitPages });
      return undefined;
    }
    const put = sink.put(frame, segment);
    if (commitPages === 0) return put;
    this.#pages = commitPages;
    this.#fewest = Math.min(this.#fewest, commitPages);
    this.#end = { index, offset: end };
    return put === undefined ? sink.commit(commitPages) : put.then(() => sink.commit(commitPages));
  }

  finish(): WalWalk {
    if (this.#missed) throw notACommit(this.#plan, this.#end, undefined);
    if (!this.#past && this.#plan.indexes.length > 0 && !this.#previous.commit) throw unfinished(this.#plan, this.#end);
    return {
      pageSize: this.#pageSize,
      pages: this.#pages,
      fewest: this.#fewest,
      end: this.#end,
      frames: this.#frames,
      towardsProof: this.#towardsProof,
    };
  }

  #beginAt(index: number, frame: Frame): WalSink {
    this.#pageSize = frame.content.length;
    const expected = this.#snapshot.facts?.pageSize ?? this.#pageSize;
    if (this.#pageSize === expected) return this.#begin(this.#pageSize);
    const position = positionIn(this.#plan.generation, { index, offset: frame.end });
    const message = `pages of ${this.#pageSize} bytes in the WAL after ${expected} in the snapshot`;
    throw corrupt('PAGE_SIZE_CHANGED', message, { key: this.#snapshot.key, position });
  }
}

/** @param next where in the same index the next commit ends, if there is one */
function notACommit(plan: RestorePlan, lastCommit: WalWalk['end'], next: number | undefined): SeawallError {
  const { generation, until } = plan;
  const position = positionIn(generation, until);
  const before = positionIn(generation, lastCommit);
  const after = next === undefined ? undefined : positionIn(generation, { index: until.index, offset: next });
  const nearest = `Nearest before: ${before}.${after === undefined ? '' : ` Nearest after: ${after}.`}`;
  return new SeawallError('point', 'POINT_NOT_A_COMMIT', `${position} is not the end of a commit. ${nearest}`, {
    position,
    before,
    ...(after !== undefined && { after }),
  });
}

function unfinished(plan: RestorePlan, lastCommit: WalWalk['end']): SeawallError {
  const before = positionIn(plan.generation, lastCommit);
  return corrupt('WAL_UNFINISHED', `the WAL ends inside a transaction after ${before}`, { before });
}

/** All frames of a plan in order, in batches. If `start`, the snapshot's state, is given, checks that segments continue it. */
export async function* planFrames(
  store: Store,
  plan: RestorePlan,
  start?: DatabaseState,
): AsyncGenerator<{ readonly index: number; readonly segment: SegmentRef; readonly frames: readonly Frame[] }> {
  let state = start;
  let pageSize: number | undefined;
  let index: number | undefined;
  let commit = true;
  const segments = plan.indexes.flatMap((entry) => entry.segments);
  for await (const { frames, header, segment } of readWal(store, plan.generation.id, segments)) {
    if (segment.index !== index && !commit) throw endsInside(plan, index);
    ({ index } = segment);
    if (header !== undefined && state !== undefined && !sameState(state, header.before)) {
      throw walGap(plan.generation, segment);
    }
    state = header && stateAfter(header);
    const last = index === plan.until.index && plan.proof !== undefined ? plan.proof.offset : Number.MAX_SAFE_INTEGER;
    const wanted = (frames.at(-1)?.end ?? 0) > last ? frames.filter(({ end }) => end <= last) : frames;
    const final = wanted.at(-1);
    if (final !== undefined) {
      pageSize ??= final.content.length;
      if (final.content.length !== pageSize) throw pageSizeChanged(plan, index, segment.offset);
      commit = final.commitPages !== 0;
      yield { index, segment, frames: wanted };
    }
    if (wanted.length < frames.length) return;
  }
}

function endsInside(plan: RestorePlan, index: number | undefined): SeawallError {
  return corrupt('WAL_UNFINISHED', `WAL index ${index} ends inside a transaction although another follows`, {
    position: positionIn(plan.generation, { index: index ?? 0, offset: 0 }),
  });
}

function pageSizeChanged(plan: RestorePlan, index: number, offset: number): SeawallError {
  const position = positionIn(plan.generation, { index, offset });
  return corrupt('PAGE_SIZE_CHANGED', `the page size changes in the WAL at ${position}`, { position });
}
