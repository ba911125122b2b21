/** What all parts of the contract's tests share. */
import type { Store } from '../../replica/store/store.ts';

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const WRONG_ETAG = '"ffffffffffffffffffffffffffffffff"';

/** Defines a test over a store of its own. */
export type Check = (title: string, body: (store: Store) => Promise<void>) => void;

/** The least a part may have, and enough to be one where there is no least. */
export function sizeOfPart(store: Store): number {
  return Math.max(store.limits.minPart, 64 * KiB);
}

export function sourceSize(store: Store): number {
  return Math.max(store.limits.minCopySource, sizeOfPart(store)) + 1000;
}
