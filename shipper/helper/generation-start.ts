/** Starts a generation: the claim to it, and a snapshot of the whole database. */
import { randomBytes } from 'node:crypto';
import { findClaim, readClaim, writeClaim, type Claim } from '../../replica/control.ts';
import { isKind, SeawallError } from '../../replica/errors.ts';
import type { Codec } from '../../replica/format/codec.ts';
import { PageHashes } from '../../replica/format/page-hashes.ts';
import { CLAIM_KEY } from '../../replica/layout.ts';
import { writeSnapshot, type WrittenSnapshot } from '../../replica/snapshot-writer.ts';
import type { Store } from '../../replica/store/store.ts';
import type { CapturePoint } from './capture.ts';
import type { Boundary } from './follower.ts';
import type { HeldImage } from './held-image.ts';
import { holdOfAll, underHeldSnapshot, type HoldSettings } from './held-snapshot.ts';
import type { LiveDatabase } from './live-database.ts';
import { takenOver } from './uploader.ts';

export interface Owner {
  readonly owner: string;
  readonly holder: string;
}

export interface StartedGeneration {
  readonly point: CapturePoint;
  readonly hashes: PageHashes;
  readonly boundary: Boundary;
  readonly snapshot: WrittenSnapshot;
}

export interface GenerationSettings extends HoldSettings {
  readonly codec: Codec;
  readonly reason: string;
  readonly now: () => number;
  /** The new generation begins no earlier: older ones have states of that time. Milliseconds since 1970. */
  readonly notBefore: number;
  readonly owner: Owner;
  /** The claim was this owner's before. If it is another's now, it is not taken back. */
  readonly again: boolean;
  readonly onProgress: (done: number, total: number) => void;
}

/**
 * Makes a new generation. Throws what the store throws; the database is released then, so that its WAL can be
 * checkpointed while the caller waits before trying again.
 */
export async function startGeneration(
  live: LiveDatabase,
  store: Store,
  settings: GenerationSettings,
): Promise<StartedGeneration> {
  const former = await readFormerClaim(store, settings);
  return underHeldSnapshot(live, holdOfAll(live), settings, async ({ image, boundary }, signal, progressed) => {
    const { pages } = image;
    const hashes = await hashImage(image, signal, progressed);
    const generation = randomBytes(8).toString('hex');
    const time = Math.max(settings.now(), settings.notBefore, former?.claim?.since ?? 0);
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
    // The claim goes first: a snapshot that no claim stands behind would be taken for the history of its time.
    await takeClaim(store, former, generation, time, settings.owner);
    const snapshot = await writeSnapshot(store, facts, settings.codec, blocks);
    const point = { generation, index: 0, offset: 0, wal: undefined, sum: { s1: 0, s2: 0 }, state };
    return { point, hashes, boundary, snapshot };
  });
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

/**
 * The former owner claimed the replica anew while it was being taken over: what was read of it is out of date. Its taking
 * over begins again, for who starts later is to be the owner.
 */
export class ClaimRenewed extends SeawallError {
  constructor(holder: string) {
    super('conflict', 'CLAIM_RENEWED', `${holder} claimed the replica anew while it was being taken over`, {
      key: CLAIM_KEY,
    });
  }
}

/** The claim that is to be replaced; `claim` is undefined where it is damaged. */
export type FormerClaim = { readonly claim: Claim | undefined; readonly etag: string } | undefined;

/** Throws Fenced when the claim may not be replaced. */
export async function readFormerClaim(
  store: Store,
  { owner, again }: Pick<GenerationSettings, 'owner' | 'again'>,
): Promise<FormerClaim> {
  const former = await findClaim(store);
  if (again && former?.claim !== undefined && former.claim.owner !== owner.owner) {
    throw takenOver(former.claim.holder);
  }
  return former;
}

export async function takeClaim(
  store: Store,
  former: FormerClaim,
  generation: string,
  since: number,
  owner: Owner,
): Promise<void> {
  const claim = { generation, epoch: (former?.claim?.epoch ?? 0) + 1, since, ...owner };
  try {
    await writeClaim(store, claim, former === undefined ? 'absent' : { ifMatch: former.etag });
  } catch (error) {
    if (!isKind(error, 'conflict')) throw error;
    const now = (await readClaim(store))?.claim;
    if (now?.owner === owner.owner && now.generation === generation) return; // a lost acknowledgement
    if (now !== undefined && now.owner === former?.claim?.owner) throw new ClaimRenewed(now.holder);
    throw takenOver(now?.holder);
  }
}
