/** What lies in a replica: its generations, snapshots and segments, from one listing. */
import { findClaim, type Claim } from './claim.ts';
import { HEAD_KEY } from '../terms/layout.ts';
import { formatPosition } from '../terms/position.ts';
import { readFloors, type Floors } from './floors.ts';
import { readHead, type FoundHead } from './head.ts';
import { isKind, SeawallError } from '../terms/errors.ts';
import type { Generation } from './generation.ts';
import { inOrder } from './generation-order.ts';
import { listObjects } from './listing.ts';
import { besideOf, type ConcurrentGeneration } from './other-program.ts';
import { NO_OBJECT } from '../store/store-errors.ts';
import type { Store } from '../store/store.ts';

/** Listings until a replica is given up as one whose objects vanish faster than they can be read. */
const MOST_LISTINGS = 5;

/** What lies in a replica: its generations, and what the control objects say of them. */
export interface Timeline {
  /** In the order of the times whose history they hold, as far as can be told. */
  readonly generations: readonly Generation[];
  /** The generation that restores of the latest state follow: `shipped`, unless another program has taken over. */
  readonly current: Generation | undefined;
  /**
   * The generation that a shipper goes on in: the claimed one, else the newest with a snapshot. A claimed generation
   * that has no snapshot yet holds nothing: all that was acknowledged is in the one before.
   */
  readonly shipped: Generation | undefined;
  /** Another program's generation that goes on after the last word of the claimed one. */
  readonly beside: ConcurrentGeneration | undefined;
  /** Who writes the replica; undefined if nobody has claimed it, or if the claim is damaged. */
  readonly claim: Claim | undefined;
  /** How far the shipper came; undefined if it never said so, or if the head is damaged. */
  readonly head: FoundHead | undefined;
  /** What retention took; empty when it never ran. */
  readonly floors: Floors;
  /** Keys under `generations/` that are neither snapshots nor segments. */
  readonly foreign: readonly string[];
  /** Damage that was tolerated, see {@link Tolerance}. */
  readonly damage: readonly SeawallError[];
  /** What is wrong if the generation is gone that claim and head name: no older state is the latest one then. */
  readonly missing: SeawallError | undefined;
}

/** Which control objects may be damaged; they count as absent then. */
export interface Tolerance {
  /** Without the head nothing tells that segments vanished from the end. */
  readonly head?: boolean;
  /** Without the claim nothing tells which generation is the current one, so `current` is undefined then. */
  readonly claim?: boolean;
}

/**
 * Lists a replica. Throws `missing` (REPLICA_EMPTY) when there is nothing of a replica at that place, and `unsupported`
 * (LTX_REPLICA) when there is one without generations; see `loadReplica`.
 */
export async function loadTimeline(store: Store, may: Tolerance = {}): Promise<Timeline> {
  const damage: SeawallError[] = [];
  // The head before the listing: one written while that runs would name segments that it has not seen.
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
  const listed = await listGenerations(store, head, claimed !== undefined).catch((error: unknown) => {
    // What a head names was there: that everything is gone must not be taken for a replica that is new.
    if (head !== undefined && isKind(error, 'missing') && error.code === 'REPLICA_EMPTY') throw generationMissing(head);
    throw error;
  });
  const { generations, foreign } = listed;
  const floors = (await readFloors(store))?.floors ?? new Map<string, number>();
  const written = generations.find(({ id }) => id === claim?.generation);
  // Whether its snapshot is not there yet, or is there no more, only the head could tell.
  if (headDamage !== undefined && written?.snapshots.length === 0) throw headDamage;
  const shipped = claimDamage === undefined ? shippedOf(generations, claim, head) : undefined;
  const beside =
    shipped === undefined || claim === undefined ? undefined : await besideOf(store, generations, shipped, head);
  const current = beside?.tookOver === true ? beside.generation : shipped;
  const missing = missingOf(generations, claim, head, floors);
  return { generations, current, shipped, beside, claim, head, floors, foreign, damage, missing };
}

/**
 * The head is a witness: its generation was there. It is missing if the claim still names it, or nothing is claimed, and
 * retention did not take it.
 */
function missingOf(
  generations: readonly Generation[],
  claim: Claim | undefined,
  head: FoundHead | undefined,
  floors: Floors,
): SeawallError | undefined {
  if (head === undefined) return undefined;
  const { generation } = head.position;
  if (claim !== undefined && claim.generation !== generation) return undefined;
  if (floors.has(generation) || generations.some(({ id }) => id === generation)) return undefined;
  return generationMissing(head);
}

function generationMissing({ position }: FoundHead): SeawallError {
  return new SeawallError(
    'corrupt',
    'GENERATION_MISSING',
    `generation ${position.generation} is missing: the head names the position ${formatPosition(position)}. Older states are restored by a time before it, or by a position (seawall list prints them). If the bucket keeps versions, bring its objects back. A shipper that starts ships the whole database again.`,
    { key: HEAD_KEY, position: formatPosition(position) },
  );
}

function unknownGeneration({ code, message, facts }: SeawallError): SeawallError {
  return new SeawallError(
    'corrupt',
    code,
    `${message}. Which generation is the current one is not known: restore by a position, which names one (seawall list prints them). A shipper that starts puts a new claim in its place.`,
    facts,
  );
}

/**
 * The generations alone, in order. With `tolerant`, one whose oldest object is damaged is put in its place by the store's
 * clock; whoever needs that object meets the error. That is safe only where the order does not decide which generation
 * is the current one.
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
 * Does what lists and then reads what was listed. Where retention deleted an object in between, that is done anew, for
 * the new listing is without it; one that stays listed but is not there is thrown (`missing`, STORE_NO_OBJECT).
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

/** See {@link Timeline}. */
function shippedOf(
  generations: readonly Generation[],
  claim: Claim | undefined,
  head: FoundHead | undefined,
): Generation | undefined {
  const claimed = generations.find(({ id }) => id === claim?.generation);
  // Where a head was written there was a snapshot: that it is gone must not be taken for "not yet".
  if (claimed !== undefined && (claimed.snapshots.length > 0 || head?.position.generation === claimed.id))
    return claimed;
  return generations.findLast(({ snapshots }) => snapshots.length > 0) ?? generations.at(-1);
}
