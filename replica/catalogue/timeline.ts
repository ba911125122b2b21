/** What a replica holds: its generations, snapshots and segments, from one listing. */
import { findClaim, type Claim } from './claim.ts';
import { readFloors, type Floors } from './floors.ts';
import { readHead, type FoundHead } from './head.ts';
import { isKind, SeawallError } from '../terms/errors.ts';
import type { Generation } from './generation.ts';
import { inOrder } from './generation-order.ts';
import { GENERATIONS, parseKey } from '../terms/layout.ts';
import { levelFolders } from '../ltx/layout.ts';
import { besideOf, type ConcurrentGeneration } from './other-program.ts';
import { comparePlaces } from '../terms/position.ts';
import type { SegmentRef } from '../objects/segment-reader.ts';
import type { SnapshotRef } from '../objects/snapshot-reader.ts';
import { NO_OBJECT } from '../store/store-errors.ts';
import type { Store } from '../store/store.ts';

/** After so many listings, objects vanish faster than they can be read, and the replica is given up. */
const MOST_LISTINGS = 5;

/** What lies in a replica: its generations, and what the control objects say of them. */
export interface Timeline {
  /** Oldest first, by the times whose history they hold. */
  readonly generations: readonly Generation[];
  /** The generation that restores of the latest state follow: `shipped`, unless another program has taken over. */
  readonly current: Generation | undefined;
  /**
   * The generation that a shipper continues: the claimed one, else the newest with a snapshot. A claimed generation
   * without a snapshot holds nothing yet: everything that was acknowledged is in the one before.
   */
  readonly shipped: Generation | undefined;
  /** Another program's generation with objects newer than the last word in `shipped`. */
  readonly beside: ConcurrentGeneration | undefined;
  /** Who writes the replica; undefined if nobody has claimed it, or if the claim is damaged. */
  readonly claim: Claim | undefined;
  /** How far the shipper came; undefined if it never said so, or if the head is damaged. */
  readonly head: FoundHead | undefined;
  /** What retention deleted; empty if it never did. */
  readonly floors: Floors;
  /** Keys under `generations/` that are neither snapshots nor segments. */
  readonly foreign: readonly string[];
  /** Damage that was tolerated, see {@link Tolerance}. */
  readonly damage: readonly SeawallError[];
}

/** Which control objects may be damaged. A damaged one then counts as absent. */
export interface Tolerance {
  /** Without the head, nothing shows that segments vanished from the end. */
  readonly head?: boolean;
  /** Without the claim, nothing shows which generation is the current one, so `current` is undefined. */
  readonly claim?: boolean;
}

/**
 * Lists a replica. Throws `missing` (REPLICA_EMPTY) if there is no replica, `unsupported` (LTX_REPLICA) if it has only
 * LTX files (see `loadReplica`), and `corrupt` if a control object is damaged and must not be.
 */
export async function loadTimeline(store: Store, may: Tolerance = {}): Promise<Timeline> {
  const damage: SeawallError[] = [];
  // The head is read before the listing: a head written during the listing would name segments that it lacks.
  const [claimRead, headRead] = await Promise.allSettled([findClaim(store), readHead(store)]);
  if (claimRead.status === 'rejected') throw claimRead.reason;
  const claimed = claimRead.value;
  const claimDamage = claimed?.claim === undefined ? claimed?.damage : undefined;
  if (claimDamage !== undefined) {
    if (may.claim !== true) throw unknownGeneration(claimDamage);
    damage.push(claimDamage);
  }
  const claim = claimed?.claim;
  let headDamage: SeawallError | undefined;
  if (headRead.status === 'rejected') {
    if (may.head !== true || !isKind(headRead.reason, 'corrupt')) throw headRead.reason;
    headDamage = headRead.reason;
    damage.push(headDamage);
  }
  const head = headRead.status === 'fulfilled' ? headRead.value : undefined;
  const { generations, foreign } = await listGenerations(store, head, claimed !== undefined);
  const floors = (await readFloors(store))?.floors ?? new Map<string, number>();
  const written = generations.find(({ id }) => id === claim?.generation);
  // Only the head could tell whether its snapshot does not exist yet, or does not exist any more.
  if (headDamage !== undefined && written?.snapshots.length === 0) throw headDamage;
  const shipped = claimDamage === undefined ? shippedOf(generations, claim, head) : undefined;
  const beside =
    shipped === undefined || claim === undefined ? undefined : await besideOf(store, generations, shipped, head);
  const current = beside?.tookOver === true ? beside.generation : shipped;
  return { generations, current, shipped, beside, claim, head, floors, foreign, damage };
}

function unknownGeneration({ code, message, facts }: SeawallError): SeawallError {
  return new SeawallError(
    'corrupt',
    code,
    `${message}. So the current generation is not known: restore by a position, which names a generation (seawall list prints them). The next shipper that starts replaces the claim.`,
    facts,
  );
}

/**
 * The generations alone, in order. With `tolerant`, a generation whose oldest object is damaged is ordered by the
 * store's clock, and the error is thrown only to those who read that object. This is safe only if the order does not
 * decide which generation is the current one.
 */
export async function listGenerations(
  store: Store,
  head: FoundHead | undefined,
  tolerant: boolean,
): Promise<Pick<Timeline, 'generations' | 'foreign'>> {
  return fromListing(async () => {
    const { generations, foreign } = await listObjects(store);
    return { generations: await inOrder(store, generations, head, tolerant), foreign };
  });
}

/**
 * Runs `work`, which lists objects and then reads them. If retention deleted an object in between, runs it again,
 * because the new listing lacks that object. Throws `missing` (STORE_NO_OBJECT) for one that stays listed but is gone.
 */
export async function fromListing<T>(work: () => Promise<T>): Promise<T> {
  for (let listings = 1; ; listings++) {
    try {
      return await work();
    } catch (error) {
      const isGone = isKind(error, 'missing') && error.code === NO_OBJECT;
      if (!isGone || listings === MOST_LISTINGS) throw error;
    }
  }
}

async function listObjects(store: Store): Promise<{ generations: Generation[]; foreign: string[] }> {
  const found = new Map<string, { snapshots: SnapshotRef[]; segments: SegmentRef[] }>();
  const foreign: string[] = [];
  for await (const { key, size, lastModified } of store.list(GENERATIONS)) {
    const name = parseKey(key);
    if (name === undefined) {
      foreign.push(key);
      continue;
    }
    let generation = found.get(name.generation);
    if (generation === undefined) found.set(name.generation, (generation = { snapshots: [], segments: [] }));
    if (name.kind === 'snapshot') {
      generation.snapshots.push({ index: name.index, codec: name.codec, size, lastModified });
    } else {
      generation.segments.push({ index: name.index, offset: name.offset, codec: name.codec, size, lastModified });
    }
  }
  if (found.size === 0) {
    if ((await levelFolders(store)).length > 0) {
      const message = `${store.url} holds LTX files of Litestream 0.5, which compacts and retains them itself`;
      throw new SeawallError('unsupported', 'LTX_REPLICA', message);
    }
    throw new SeawallError('missing', 'REPLICA_EMPTY', `there is no replica at ${store.url}. Check bucket and prefix.`);
  }
  const generations: Generation[] = [];
  for (const [id, { snapshots, segments }] of found) {
    snapshots.sort((a, b) => a.index - b.index);
    segments.sort(comparePlaces);
    generations.push({ id, snapshots, segments });
  }
  return { generations, foreign };
}

/** See `shipped` in {@link Timeline}. */
function shippedOf(
  generations: readonly Generation[],
  claim: Claim | undefined,
  head: FoundHead | undefined,
): Generation | undefined {
  const claimed = generations.find(({ id }) => id === claim?.generation);
  // A head is written only after a snapshot: a missing snapshot must not be mistaken for one that is yet to come.
  if (claimed !== undefined && (claimed.snapshots.length > 0 || head?.position.generation === claimed.id))
    return claimed;
  return generations.findLast(({ snapshots }) => snapshots.length > 0) ?? generations.at(-1);
}
