/**
 * Starts a generation: the claim to it, and a snapshot of the whole database.
 *
 * Right after a seal everything is in the database file. A reader that begins then reads the file alone and keeps every
 * checkpoint out until it ends, so the file stands still while the app goes on writing to the WAL. It is read twice,
 * for the page hashes and for the upload, and the two must agree.
 */
import { randomBytes } from 'node:crypto';
import type { Codec } from '../../../replica/format/codec.ts';
import type { PageHashes } from '../../../replica/format/page-hashes.ts';
import { writeSnapshot, type WrittenSnapshot } from '../../../replica/objects/snapshot-writer.ts';
import type { Store } from '../../../replica/store/store.ts';
import type { NewGenerationReason } from '../../reasons.ts';
import type { CapturePoint } from '../capture/capture.ts';
import type { Boundary } from '../capture/boundary.ts';
import { holdOfAll, underHeldSnapshot, type HoldSettings } from '../snapshot/held-snapshot.ts';
import type { LiveDatabase } from '../database/live-database.ts';
import type { CapturedSegment } from '../capture/capture.ts';
import { ContinuityLost } from '../continuity-lost.ts';
import type { HeldClaim, LostClaim } from '../upload/claim.ts';
import { closeGeneration } from './closing.ts';
import { hashImage } from './difference.ts';

export interface StartedGeneration {
  readonly point: CapturePoint;
  readonly hashes: PageHashes;
  readonly boundary: Boundary;
  readonly snapshot: WrittenSnapshot;
}

export interface GenerationSettings extends HoldSettings {
  readonly codec: Codec;
  readonly reason: NewGenerationReason;
  /** The generation begins no earlier than this: older ones have states up to it. Milliseconds since 1970. */
  readonly notBefore: number;
  readonly claim: HeldClaim;
  readonly upload: (segment: CapturedSegment, signal: AbortSignal) => Promise<void>;
  /** How the claim was lost, if it was; throws Fenced when another shipper has it. */
  readonly checkClaim: (signal: AbortSignal) => Promise<LostClaim | undefined>;
  /** The claim was this owner's before. If it is another's now, it is not taken back. */
  readonly isRestart: boolean;
  readonly onProgress: (done: number, total: number) => void;
}

/**
 * Makes a new generation. Throws what the store throws. The database is released then, so that its WAL can be
 * checkpointed while the caller waits before it tries again.
 */
export async function startGeneration(
  live: LiveDatabase,
  store: Store,
  settings: GenerationSettings,
): Promise<StartedGeneration> {
  const { claim, checkClaim, upload } = settings;
  const former = await claim.readFormer(settings.isRestart);
  return underHeldSnapshot(
    live,
    holdOfAll(live, settings.clock),
    settings,
    async ({ image, boundary }, signal, progressed) => {
      const { pages } = image;
      const hashes = await hashImage(image, signal, progressed);
      const generation = randomBytes(8).toString('hex');
      const since = Math.max(settings.clock.now(), settings.notBefore, former?.claim?.since ?? 0);
      // The claim goes first: a snapshot that no claim stands behind would be taken for the history of its time.
      await claim.take(former, generation, since);
      // Where another program took over, its generation is the history from there on: nothing is written to ours again.
      const isClosed = former?.claim === undefined || settings.reason === 'foreign-replica';
      const newest = isClosed
        ? undefined
        : await closeGeneration(
            store,
            former.claim.generation,
            (segment) => upload(segment, signal),
            () => checkClaim(signal),
          );
      progressed();
      const time = Math.max(since, settings.clock.now(), newest ?? 0);
      const state = { pages, checksum: hashes.checksum, time };
      const facts = {
        generation,
        index: 0,
        pageSize: live.pageSize,
        ...state,
        reason: settings.reason,
        file: live.files.owner(),
        ...(former?.claim && { parent: former.claim.generation }),
      };
      const blocks = image.blocks(signal, (done, total) => {
        progressed();
        settings.onProgress(done, total);
      });
      const snapshot = await writeSnapshot(store, facts, settings.codec, blocks);
      // Whoever took the claim during the snapshot is the owner, and nothing counts that follows on this snapshot.
      const lost = await checkClaim(signal);
      if (lost !== undefined) throw new ContinuityLost(lost, 'seen after a snapshot');
      const point = { generation, index: 0, offset: 0, wal: undefined, sum: { s1: 0, s2: 0 }, state };
      return { point, hashes, boundary, snapshot };
    },
  );
}
