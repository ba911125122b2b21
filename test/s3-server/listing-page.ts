import type { KeyIndex } from './key-index.ts';

export interface PageRequest<T> {
  readonly prefix: string;
  readonly delimiter: string;
  /** List what comes after this key, or with `markerId` after that item of this key. */
  readonly marker: string;
  readonly markerId?: string;
  /** Whether a marker that is a common prefix stands for all keys under it. It does when it came from a page. */
  readonly markerMayBePrefix: boolean;
  readonly maxEntries: number;
  /** The items of a key's value in the list, in order. */
  readonly itemsOf: (key: string) => readonly T[];
  readonly idOf: (item: T) => string;
}

export interface Page<T> {
  readonly items: T[];
  readonly commonPrefixes: string[];
  /** The start of the next page; `undefined` if this page is the last. */
  readonly next: { readonly marker: string; readonly markerId: string } | undefined;
}

/** One page of a listing. Objects, versions and uploads are all listed by this: by key, then in the order of items. */
export function listPage<T, V>(index: KeyIndex<V>, request: PageRequest<T>): Page<T> {
  const { prefix, delimiter, marker, markerId, maxEntries } = request;
  const page: Page<T> = { items: [], commonPrefixes: [], next: undefined };
  if (maxEntries <= 0) return page;

  const commonPrefixOf = (key: string): string | undefined => {
    if (delimiter === '' || !key.startsWith(prefix)) return undefined;
    const at = key.indexOf(delimiter, prefix.length);
    return at < 0 ? undefined : key.slice(0, at + delimiter.length);
  };

  let position = Math.max(index.positionOf(prefix), index.positionOf(marker));
  if (request.markerMayBePrefix && marker !== '' && commonPrefixOf(marker) === marker) {
    position = Math.max(position, index.positionAfterPrefix(marker));
  }
  let last = { marker: '', markerId: '' };
  let count = 0;
  const isFull = (): boolean => count === maxEntries;

  for (;;) {
    const key = index.keyAt(position);
    if (!key?.startsWith(prefix)) return page;
    let items = request.itemsOf(key);
    if (key === marker) {
      const after = markerId === undefined ? -1 : items.findIndex((item) => request.idOf(item) === markerId);
      items = after < 0 ? [] : items.slice(after + 1);
    }
    if (items.length === 0) {
      position++;
      continue;
    }
    const common = commonPrefixOf(key);
    if (common !== undefined) {
      if (isFull()) return { ...page, next: last };
      page.commonPrefixes.push(common);
      count++;
      last = { marker: common, markerId: '' };
      position = index.positionAfterPrefix(common);
      continue;
    }
    for (const item of items) {
      if (isFull()) return { ...page, next: last };
      page.items.push(item);
      count++;
      last = { marker: key, markerId: request.idOf(item) };
    }
    position++;
  }
}
