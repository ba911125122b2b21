/**
 * The head shows from the bucket alone how far the replica reaches, and when that was last known to be everything. So
 * an idle database can be distinguished from a dead shipper.
 */
import { HEAD_KEY } from '../terms/layout.ts';
import { corrupt } from '../terms/errors.ts';
import type { PutResult, Store } from '../store/store.ts';
import { fields, seal, unseal } from '../format/sealed-json.ts';
import { formatPosition, parsePosition, type Position } from '../terms/position.ts';
import { readSmall } from './control-object.ts';
import { formatChecksum } from '../format/page-hashes.ts';

/** How far the replica reaches, as its shipper last said. */
export interface Head {
  /** The end of what was shipped. */
  readonly position: Position;
  /** Database checksum there. */
  readonly checksum: bigint;
  /** Pages of the database there. */
  readonly pages: number;
  /** Time of the last commit, milliseconds since 1970. */
  readonly committed: number;
  /** When the shipper last knew that nothing newer existed, milliseconds since 1970. */
  readonly seen: number;
}

/** A head as it was read. */
export interface FoundHead extends Head {
  /** `seen`, but no later than the store's clock says, because a shipper's clock may be ahead. Milliseconds since 1970. */
  readonly heard: number;
}

/** Undefined if there is no head. Throws `corrupt` if it is damaged. */
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

/** Replaces the head without a condition: only the holder of the claim may call this. */
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
