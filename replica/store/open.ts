import { fileURLToPath } from 'node:url';
import { filesStore } from './files/store.ts';
import { memoryStore } from './memory.ts';
import type { S3StoreOptions } from './s3/store.ts';
import type { Store } from './store.ts';

/** Settings of an S3 store. Those that a URL gives, too, are taken from the URL. */
export type OpenStoreOptions = Omit<S3StoreOptions, 'bucket' | 'prefix'>;

const SCHEME = /^([a-z][a-z0-9+.-]+):/i;
const S3 = /^s3:\/\/([^/?]+)(?:\/([^?]*))?(?:\?(.*))?$/s;
const CHECKSUMS = ['when-required', 'when-supported'] as const;

/** The options that may follow the `?` of an S3 URL. */
const QUERY: Readonly<Record<string, (value: string, name: string) => OpenStoreOptions>> = {
  region: (region) => ({ region }),
  endpoint: (endpoint) => ({ endpoint }),
  pathStyle: (value, name) => ({ forcePathStyle: oneOf(name, value, ['true', 'false'] as const) === 'true' }),
  checksums: (value, name) => ({ checksums: oneOf(name, value, CHECKSUMS) }),
};

/**
 * Opens the store a URL names:
 *
 * - `s3://bucket/prefix?region=…&endpoint=…&pathStyle=true&checksums=when-required`; the prefix is taken literally,
 *   with no percent-decoding; with an endpoint, `pathStyle` is true unless said otherwise
 * - `file:///absolute/folder`, or a plain path, relative or absolute
 * - `memory:`, a new and empty store in this process
 *
 * @throws RangeError for schemes, query keys and values that are none of these. Opening sends no request.
 */
export async function openStore(url: string, options: OpenStoreOptions = {}): Promise<Store> {
  if (typeof url !== 'string' || url === '') throw new TypeError(`a store must be a URL or a path, got ${show(url)}`);
  const scheme = SCHEME.exec(url)?.[1]?.toLowerCase();
  switch (scheme) {
    case undefined:
      return filesStore(url);
    case 'file':
      return filesStore(folderOf(url));
    case 'memory':
      if (url.length > 'memory:'.length) throw new RangeError(`a store in memory is just "memory:", got ${show(url)}`);
      return memoryStore();
    case 's3':
      return await openS3(url, options);
    default:
      throw new RangeError(
        `unknown scheme "${scheme}:" in ${show(url)}; a store is s3://, file:///, memory: or a path (a folder with a colon in its name: begin it with "./")`,
      );
  }
}

/** The URL of the bucket alone, and the prefix of a store's keys in it; undefined if the store is not on S3. */
export function bucketOf(url: string): { readonly url: string; readonly prefix: string } | undefined {
  const match = S3.exec(url);
  if (match === null) return undefined;
  const [, bucket = '', prefix = '', query] = match;
  return { url: `s3://${bucket}${query === undefined ? '' : `?${query}`}`, prefix };
}

function folderOf(url: string): string {
  if (!url.toLowerCase().startsWith('file:///')) {
    throw new RangeError(`a file URL begins with three slashes and an absolute path, got ${show(url)}`);
  }
  const { search, hash } = new URL(url);
  const extra = search || hash;
  if (extra !== '') throw new RangeError(`unknown option ${show(extra)} in ${show(url)}: file URLs take none`);
  return fileURLToPath(url);
}

async function openS3(url: string, options: OpenStoreOptions): Promise<Store> {
  const match = S3.exec(url);
  if (match === null) throw new RangeError(`an S3 URL is s3://bucket/prefix?options, got ${show(url)}`);
  const [, bucket = '', prefix = '', query = ''] = match;
  let settings: OpenStoreOptions = options;
  const seen = new Set<string>();
  for (const [name, value] of new URLSearchParams(query)) {
    const read = Object.hasOwn(QUERY, name) ? QUERY[name] : undefined;
    if (read === undefined) {
      throw new RangeError(`unknown option "${name}" in ${show(url)}; allowed are ${Object.keys(QUERY).join(', ')}`);
    }
    if (value === '') throw new RangeError(`the option "${name}" in ${show(url)} has no value`);
    if (seen.has(name)) throw new RangeError(`the option "${name}" is given twice in ${show(url)}`);
    seen.add(name);
    settings = { ...settings, ...read(value, name) };
  }
  // Imported only here: the SDK costs 0.2 s and tens of megabytes, which a store of files does not need.
  const { s3Store } = await import('./s3/store.ts');
  return s3Store({ ...settings, bucket, prefix });
}

function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) throw new RangeError(`${name} must be ${allowed.join(' or ')}, got ${show(value)}`);
  return found;
}

function show(value: unknown): string {
  // The URL may hold a secret in a place where none belongs, so it is not shown.
  return JSON.stringify(typeof value === 'string' ? value.replace(/\/\/[^/@]*@/, '//…@') : value);
}
