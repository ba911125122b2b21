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
import { corrupt, isKind, type SeawallError } from '../terms/errors.ts';
import { CLAIM_KEY } from '../terms/layout.ts';
import { isGeneration } from '../terms/position.ts';
import { fields, seal, unseal } from '../format/sealed-json.ts';
import type { Condition, PutResult, Store } from '../store/store.ts';
import { readSmall } from './control-object.ts';

/** Which generation is written now, and by whom; see docs/FORMAT.md. */
export interface Claim {
  /** The generation that its holder writes: sixteen lowercase hex digits. */
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
