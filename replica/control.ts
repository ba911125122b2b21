/**
 * The claim, the head and the floors: the small objects that lie beside the generations.
 *
 * - The **claim** names the generation that is written now, and its epoch. Restores of the latest state follow it.
 *   It is replaced conditionally, so of two shippers only one holds it.
 * - The **head** tells from the bucket alone how far the replica reaches and when that was last known to be all, so
 *   an idle database can be told from a dead shipper.
 * - The **floors** are what retention took: for each generation the WAL index below which WAL is no longer kept. They
 *   are written before anything is deleted, so that a moment whose WAL is gone is never mistaken for an idle one.
 */
import { corrupt, isKind, type SeawallError } from './errors.ts';
import { CLAIM_KEY, FLOORS_KEY, HEAD_KEY } from './layout.ts';
import { formatChecksum } from './format/page-hashes.ts';
import { formatPosition, isGeneration, MAX_INDEX, parsePosition, type Position } from './position.ts';
import { fields, MAX_SEALED, seal, unseal } from './sealed-json.ts';
import type { Condition, PutResult, Store, StoredObject } from './store/store.ts';

/** Tries to read a control object that is replaced under the reading. */
const MOST_READS = 5;

export interface Claim {
  readonly generation: string;
  /** Counts takeovers: one more with each shipper that takes the database over. */
  readonly epoch: number;
  /** Random, chosen by the shipper that holds it. */
  readonly owner: string;
  /** Host name and process, for people. */
  readonly holder: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

export interface Head {
  readonly position: Position;
  /** Database checksum and pages there. */
  readonly checksum: bigint;
  readonly pages: number;
  /** Time of the last commit, milliseconds since 1970. */
  readonly committed: number;
  /** When the shipper last knew that nothing newer existed, milliseconds since 1970. */
  readonly seen: number;
}

/** A head as it was found. */
export interface FoundHead extends Head {
  /** `seen` by the store's clock: that of a shipper which is ahead does not count. Milliseconds since 1970. */
  readonly heard: number;
}

/** Throws `corrupt` where the claim is damaged; see {@link findClaim}. */
export async function readClaim(store: Store): Promise<{ readonly claim: Claim; readonly etag: string } | undefined> {
  const found = await findClaim(store);
  if (found === undefined || found.claim !== undefined) return found;
  throw found.damage;
}

/** The claim or, where it is damaged, what is wrong with it; the ETag is what a conditional replacement needs. */
export async function findClaim(
  store: Store,
): Promise<
  | { readonly claim: Claim; readonly etag: string }
  | { readonly claim: undefined; readonly damage: SeawallError; readonly etag: string }
  | undefined
> {
  const found = await readSmall(store, CLAIM_KEY);
  if (found === undefined) return undefined;
  try {
    return { claim: parseClaim(found.body), etag: found.etag };
  } catch (error) {
    if (!isKind(error, 'corrupt')) throw error;
    return { claim: undefined, damage: error, etag: found.etag };
  }
}

function parseClaim(bytes: Buffer): Claim {
  const body = fields(unseal('claim', 1, bytes, CLAIM_KEY), CLAIM_KEY, {
    generation: 'string',
    epoch: 'number',
    owner: 'string',
    holder: 'string',
    since: 'number',
  });
  const claim = body as unknown as Claim;
  if (!isGeneration(claim.generation)) throw corrupt('CLAIM', 'the claim names no generation', { key: CLAIM_KEY });
  return claim;
}

export function writeClaim(store: Store, claim: Claim, condition: Condition): Promise<PutResult> {
  return store.put(CLAIM_KEY, seal('claim', 1, { ...claim }), condition);
}

export async function readHead(store: Store): Promise<FoundHead | undefined> {
  const found = await readSmall(store, HEAD_KEY);
  if (found === undefined) return undefined;
  const body = fields(unseal('head', 1, found.body, HEAD_KEY), HEAD_KEY, {
    position: 'string',
    checksum: 'string',
    pages: 'number',
    committed: 'number',
    seen: 'number',
  });
  const position = parsePosition(body.position as string);
  if (position === undefined || !/^[0-9a-f]{16}$/.test(body.checksum as string)) {
    throw corrupt('HEAD', 'the head names no position', { key: HEAD_KEY });
  }
  return {
    position,
    checksum: BigInt(`0x${body.checksum as string}`),
    pages: body.pages as number,
    committed: body.committed as number,
    seen: body.seen as number,
    heard: Math.min(body.seen as number, found.lastModified),
  };
}

export function writeHead(store: Store, head: Head): Promise<PutResult> {
  return store.put(
    HEAD_KEY,
    seal('head', 1, {
      position: formatPosition(head.position),
      checksum: formatChecksum(head.checksum),
      pages: head.pages,
      committed: head.committed,
      seen: head.seen,
    }),
  );
}

/** Generation to the first index whose WAL is kept; {@link NO_WAL} where none is. */
export type Floors = ReadonlyMap<string, number>;

/** A floor above every index. */
export const NO_WAL = MAX_INDEX + 1;

export async function readFloors(
  store: Store,
): Promise<{ readonly floors: Floors; readonly etag: string } | undefined> {
  const found = await readSmall(store, FLOORS_KEY);
  if (found === undefined) return undefined;
  const body = unseal('floors', 1, found.body, FLOORS_KEY);
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw corrupt('FLOORS', 'no floors in it', { key: FLOORS_KEY });
  }
  const floors = new Map<string, number>();
  for (const [generation, floor] of Object.entries(body)) {
    if (!isGeneration(generation) || typeof floor !== 'number' || !isFloor(floor)) {
      throw corrupt('FLOORS', `no floor: ${JSON.stringify(generation)}: ${JSON.stringify(floor)}`, { key: FLOORS_KEY });
    }
    floors.set(generation, floor);
  }
  return { floors, etag: found.etag };
}

function isFloor(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= NO_WAL;
}

export function writeFloors(store: Store, floors: Floors, condition: Condition): Promise<PutResult> {
  const sorted = [...floors].sort(([a], [b]) => (a < b ? -1 : 1));
  return store.put(FLOORS_KEY, seal('floors', 1, Object.fromEntries(sorted)), condition);
}

async function readSmall(store: Store, key: string): Promise<StoredObject | undefined> {
  for (let reads = 1; ; reads++) {
    try {
      const found = await store.get(key, { suffix: MAX_SEALED });
      if (found.size > MAX_SEALED) throw corrupt('SEALED_SIZE', `${found.size} bytes are no control object`, { key });
      return found;
    } catch (error) {
      if (isKind(error, 'missing') && error.code !== 'STORE_NO_BUCKET') return undefined;
      // Control objects are there to be replaced, also while a broken-off answer is gone on with.
      if (!isKind(error, 'conflict') || reads === MOST_READS) throw error;
    }
  }
}
