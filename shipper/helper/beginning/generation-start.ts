/**
 * Starts a generation: the claim to it, and a snapshot of the whole database.
 *
 * Right after a seal everything is in the database file. A reader that begins then reads the file alone and keeps every
 * checkpoint out until it ends, so the file stands still while the app goes on writing to the WAL. It is read twice,
 * for the page hashes and for the upload, and the two must agree.
 */
import { randomBytes } from 'node:crypto';
import type { Codec } from '../../../replica/format/codec.ts';
import { PageHashes } from '../../../replica/format/page-hashes.ts';
import { writeSnapshot, type WrittenSnapshot } from '../../../replica/objects/snapshot-writer.ts';
import type { Store } from '../../../replica/store/store.ts';
import type { NewGenerationReason } from '../../reasons.ts';
import type { CapturePoint } from '../capture/capture.ts';
import type { Boundary } from '../capture/boundary.ts';
import type { HeldImage } from '../snapshot/held-image.ts';
import { holdOfAll, underHeldSnapshot, type HoldSettings } from '../snapshot/held-snapshot.ts';
import type { LiveDatabase } from '../database/live-database.ts';
import { type Owner, readFormerClaim, takeClaim } from '../upload/claim.ts';

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
  readonly owner: Owner;
  /** The claim was this owner's before. If it is another shipper's now, it is not taken back. */
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
  const former = await readFormerClaim(store, settings);
  return underHeldSnapshot(
    live,
    holdOfAll(live, settings.clock),
    settings,
    async ({ image, boundary }, signal, progressed) => {
      const { pages } = image;
      const hashes = await hashImage(image, signal, progressed);
      const generation = randomBytes(8).toString('hex');
      const time = Math.max(settings.clock.now(), settings.notBefore, former?.claim?.since ?? 0);
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
      // The claim goes first: a snapshot without a claim would count as the history of its time.
      await takeClaim(store, former, generation, time, settings.owner);
      const snapshot = await writeSnapshot(store, facts, settings.codec, blocks);
      const point = { generation, index: 0, offset: 0, wal: undefined, sum: { s1: 0, s2: 0 }, state };
      return { point, hashes, boundary, snapshot };
    },
  );
}

async function hashImage(image: HeldImage, signal: AbortSignal, progressed: () => void): Promise<PageHashes> {
  const { pages, pageSize } = image;
  const hashes = new PageHashes(pageSize, pages);
  let page = 0;
  for await (const block of image.blocks(signal, progressed)) {
    for (let at = 0; at < block.length; at += pageSize) hashes.set(++page, block.subarray(at, at + pageSize));
  }
  hashes.commit(pages);
  return hashes;
}
