/** How large the parts of an upload are, so that an object of any size fits into the number that a store allows. */
import type { CopyRange, PartLimits, Store } from './store.ts';

const LEAST_PART = 5 << 20;
const MIB = 1 << 20;
/** Bytes of a copied range, at most: a store copies several ranges at once faster than one large range. */
const COPIED_PART = 256 << 20;

/** Bytes of a written part, so that an object of `sizeBound` bytes fits into the parts that the store allows. */
export function partSizeFor(store: Pick<Store, 'limits'>, sizeBound: number): number {
  const { minPart } = store.limits;
  return Math.ceil(Math.max(share(store.limits, sizeBound), LEAST_PART, minPart) / MIB) * MIB;
}

/** The least bytes of a copied range, and of the bytes written before one, so that an object of `sizeBound` bytes fits. */
export function leastCopyFor(store: Pick<Store, 'limits'>, sizeBound: number): number {
  // Half of the parts serve copied ranges and the short ends before them, the other half full written parts.
  return Math.max(share(store.limits, 2 * sizeBound), store.limits.minPart);
}

/** Divides a range to copy into parts of nearly equal length. */
export function copiedParts(store: Pick<Store, 'limits'>, range: CopyRange, sizeBound: number): CopyRange[] {
  const most = Math.min(Math.max(COPIED_PART, 2 * leastCopyFor(store, sizeBound)), store.limits.maxPart);
  return cutEvenly(range, Math.ceil(range.length / most));
}

function cutEvenly({ offset, length }: CopyRange, count: number): CopyRange[] {
  const at = (piece: number): number => offset + Math.floor((length * piece) / count);
  return Array.from({ length: count }, (_, piece) => ({ offset: at(piece), length: at(piece + 1) - at(piece) }));
}

function share({ maxParts }: PartLimits, bytes: number): number {
  return Math.ceil(bytes / (maxParts - 2));
}
