/**
 * The claim names the generation that is written now, and its epoch. Restores of the latest state follow it. It is
 * replaced conditionally, so that only one of two shippers holds it.
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
  /** Counts takeovers: each shipper that takes the database over adds one. */
  readonly epoch: number;
  /** Random, chosen by the shipper that holds it. */
  readonly owner: string;
  /** Host name and process, for people to read. */
  readonly holder: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

/** The claim and its ETag; undefined if there is none. Throws `corrupt` if it is damaged; see {@link findClaim}. */
export async function readClaim(store: Store): Promise<{ readonly claim: Claim; readonly etag: string } | undefined> {
  const found = await findClaim(store);
  if (found === undefined || found.claim !== undefined) return found;
  throw found.damage;
}

/** The claim or, if it is damaged, what is wrong with it. A conditional replacement needs the ETag. */
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

/** Throws `conflict` if the condition does not hold: another shipper was faster. */
export function writeClaim(store: Store, claim: Claim, condition: Condition): Promise<PutResult> {
  return store.put(CLAIM_KEY, seal('claim', 1, { ...claim }), condition);
}
