/**
 * Resuming: continues the generation in the bucket by shipping only the pages in which the database differs from the
 * end of its replica. Covers a clean restart, a crash, writes made without the shipper, a file restored on another
 * machine, and staging that was given up.
 */
import { corrupt, SeawallError } from '../../../replica/terms/errors.ts';
import { lastWritten } from '../../../replica/catalogue/generation.ts';
import { listGeneration } from '../../../replica/catalogue/listing.ts';
import { comparePlaces } from '../../../replica/terms/position.ts';
import type { PageHashes } from '../../../replica/format/page-hashes.ts';
import { readReplicaEnd, type ReplicaEnd } from '../../../replica/takeover/replica-end.ts';
import type { Store } from '../../../replica/store/store.ts';
import { loadTimeline } from '../../../replica/catalogue/timeline.ts';
import type { NewGenerationReason } from '../../reasons.ts';
import type { CapturedSegment, CapturePoint } from '../capture/capture.ts';
import { ContinuityLost } from '../continuity-lost.ts';
import {
  differenceSegments,
  differingPages,
  endOfIndex,
  hashImage,
  pageInCommon,
  restOfTransaction,
} from './difference.ts';
import type { Boundary } from '../capture/boundary.ts';
import type { GenerationSettings } from './generation-start.ts';
import type { FormerClaim } from '../upload/claim.ts';
import type { HeldImage } from '../snapshot/held-image.ts';
import { holdOfAll, underHeldSnapshot } from '../snapshot/held-snapshot.ts';
import type { LiveDatabase } from '../database/live-database.ts';
import { KeyTaken } from '../upload/uploader.ts';

/** If a larger share of pages differs, a snapshot costs no more, and restores are shorter. */
const MOST_DIFFERING = 0.5;
/** For databases up to this many pages the share does not matter: a snapshot would save nothing. */
const FEW_PAGES = 256;
const NOTHING = Buffer.alloc(0);

export type Resumed =
  | {
      readonly kind: 'resumed';
      readonly point: CapturePoint;
      readonly hashes: PageHashes;
      readonly boundary: Boundary;
      /** The end of what is in the bucket. */
      readonly reached: CapturePoint;
      readonly end: ReplicaEnd;
      readonly uploaded: readonly CapturedSegment[];
      readonly way: 'unchanged' | 'difference';
      /** Pages that differed. */
      readonly differing: number;
      readonly bytes: number;
    }
  /** Why a new generation is needed, and the time of the newest state known here, milliseconds since 1970. */
  | { readonly kind: 'impossible'; readonly reason: NewGenerationReason; readonly newest: number };

export interface ResumeSettings extends Omit<GenerationSettings, 'reason' | 'notBefore' | 'onProgress'> {
  readonly segmentSize: number;
  /** A generation that objects are known to be missing of: only a snapshot makes the latest state whole again. */
  readonly lost: string | undefined;
}

/** Throws what the store throws, to be tried again, and Fenced if another shipper took the claim meanwhile. */
export async function resumeGeneration(live: LiveDatabase, store: Store, settings: ResumeSettings): Promise<Resumed> {
  const found = await readEnd(store, settings);
  if ('reason' in found) return { kind: 'impossible', ...found };
  const impossible = (reason: NewGenerationReason, { state }: ReplicaEnd): Resumed => ({
    kind: 'impossible',
    reason,
    newest: state.time,
  });
  if (settings.lost === found.end.generation) return impossible('replica-damaged', found.end);
  if (found.end.hashes.pageSize !== live.pageSize) return impossible('page-size-changed', found.end);
  if (found.end.codec !== settings.codec.name) return impossible('codec-changed', found.end);

  return underHeldSnapshot(
    live,
    holdOfAll(live, settings.clock),
    settings,
    async (held, signal, progressed): Promise<Resumed> => {
      const { image, boundary } = held;
      const hashes = await hashImage(image, signal, progressed);
      let { end } = found;
      for (let isClaimed = false; ; isClaimed = true) {
        const differing = differingPages(hashes, end.hashes);
        if (differing.length > MOST_DIFFERING * image.pages && image.pages > FEW_PAGES) {
          return impossible(end.unfinished ? 'unfinished-transaction' : 'mostly-different', end);
        }
        const time = Math.max(settings.clock.now(), end.state.time);
        if (!isClaimed) {
          await settings.claim.take(found.claim, end.generation, time);
          // What a former shipper put into the bucket while the pages were hashed is history, too.
          if (await hasGrown(store, end)) {
            end = await readAgain(store, end.generation);
            continue;
          }
        }
        const planned = plan(image, end, differing, time, settings);
        if (planned === undefined) return impossible('mostly-different', end);
        const uploaded: CapturedSegment[] = [];
        let bytes = 0;
        try {
          for (const segment of planned.segments) {
            // Pages of the difference were read once to be hashed, and once more for this.
            if (segment.endsOnCommit) image.assertUntouched();
            await settings.upload(segment, signal);
            progressed();
            bytes += segment.bytes.length;
            uploaded.push({ ...segment, bytes: NOTHING });
          }
        } catch (error) {
          if (!(error instanceof KeyTaken)) throw error;
          // The former shipper was faster to this key: what it wrote is continued, unless the claim is another's by now.
          const lost = await settings.checkClaim(signal);
          if (lost !== undefined) throw new ContinuityLost(lost, `seen at ${error.facts.key}`);
          if (!(await hasGrown(store, end))) throw error;
          end = await readAgain(store, end.generation);
          continue;
        }
        const { after } = uploaded.at(-1)!;
        const { generation, index, state } = after;
        const point = { generation, index: index + 1, offset: 0, wal: undefined, sum: { s1: 0, s2: 0 }, state };
        return {
          kind: 'resumed',
          point,
          reached: after,
          end,
          uploaded,
          hashes: end.hashes,
          boundary,
          way: planned.way,
          differing: differing.length,
          bytes,
        };
      }
    },
  );
}

/** Whether there are segments at or after the end that was read. */
async function hasGrown(store: Store, end: ReplicaEnd): Promise<boolean> {
  const generation = await listGeneration(store, end.generation);
  const last = generation?.segments.at(-1);
  return last !== undefined && comparePlaces(last, end) >= 0;
}

async function readAgain(store: Store, id: string): Promise<ReplicaEnd> {
  const generation = await listGeneration(store, id);
  if (generation === undefined)
    throw corrupt('REPLICA_GONE', `generation ${id} vanished while it was being taken over`);
  return readReplicaEnd(store, generation, true);
}

/** What is to be shipped, in order; undefined where it would not keep a former shipper out (see difference.ts). */
function plan(
  image: HeldImage,
  end: ReplicaEnd,
  differing: readonly number[],
  time: number,
  settings: ResumeSettings,
): { readonly way: 'unchanged' | 'difference'; readonly segments: Iterable<CapturedSegment> } | undefined {
  if (end.unfinished) {
    return { way: 'difference', segments: restOfTransaction(image, end, differing, time, settings) };
  }
  const common = pageInCommon(image, end.hashes.pages, differing);
  if (common === undefined) return undefined;
  const isSame = differing.length === 0 && image.pages === end.hashes.pages;
  function* segments(): Generator<CapturedSegment> {
    yield endOfIndex(image, end, common!, settings);
    if (!isSame) yield* differenceSegments(image, end, differing, time, settings);
  }
  return { way: isSame ? 'unchanged' : 'difference', segments: segments() };
}

interface Found {
  readonly end: ReplicaEnd;
  readonly claim: FormerClaim;
}

async function readEnd(
  store: Store,
  settings: ResumeSettings,
): Promise<Found | { readonly reason: NewGenerationReason; readonly newest: number }> {
  let newest = 0;
  try {
    // The claim is read first: if another shipper takes it after that, taking it here fails.
    const claim = await settings.claim.readFormer(settings.isRestart);
    if (claim !== undefined && claim.claim === undefined) return { reason: 'claim-damaged', newest };
    const { shipped, beside, head, missing } = await loadTimeline(store);
    newest = head?.committed ?? 0;
    if (missing !== undefined) return { reason: 'replica-damaged', newest };
    if (shipped === undefined || shipped.snapshots.length === 0) return { reason: 'new-replica', newest };
    if (claim?.claim !== undefined && claim.claim.generation !== shipped.id) {
      return { reason: 'generation-without-snapshot', newest };
    }
    if (beside?.tookOver === true) {
      // From that time on the other program's generation is the history, and continuing an older one would hide it.
      return { reason: 'foreign-replica', newest: Math.max(newest, lastWritten(beside.generation)) };
    }
    // What another program wrote is continued only if the claim names it: `seawall adopt` has checked that generation.
    return { end: await readReplicaEnd(store, shipped, claim !== undefined), claim };
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === undefined) throw error;
    return { reason, newest };
  }
}

/** Why a replica cannot be continued; undefined for a failure that may pass. */
function reasonOf(error: unknown): NewGenerationReason | undefined {
  if (!(error instanceof SeawallError)) return undefined;
  if (error.code === 'REPLICA_EMPTY' || error.code === 'NO_SNAPSHOT') return 'new-replica';
  if (error.code === 'UNFINISHED_TRANSACTION') return 'unfinished-transaction';
  if (error.kind === 'unsupported') return 'foreign-replica';
  if (error.kind === 'corrupt' || error.kind === 'point') return 'replica-damaged';
  return undefined;
}
