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

/** A head as it was found. */
export interface FoundHead extends Head {
  /** `seen` by the store's clock: that of a shipper which is ahead does not count. Milliseconds since 1970. */
  readonly heard: number;
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
