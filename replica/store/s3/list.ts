import {
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3';
import { SeawallError } from '../../terms/errors.ts';
import { compareKeys } from '../keys.ts';
import type { S3Bucket } from './bucket.ts';
import { infoOf } from './read.ts';
import type { ObjectInfo } from '../store.ts';

/**
 * Objects in byte order. Where the first page comes out of order, all pages are gathered, without `StartAfter` (which
 * such a store reckons in its own order), and sorted: memory then grows with the list.
 */
export async function* listS3(s3: S3Bucket, prefix: string, after: string | undefined): AsyncGenerator<ObjectInfo> {
  if (!s3.learned.listsUnsorted) {
    let last = after;
    let isFirst = true;
    let inOrder = true;
    for await (const page of pages(s3, prefix, after === undefined ? {} : { StartAfter: s3.fullPrefix(after) })) {
      const infos = objectsOf(s3, page);
      inOrder = isSorted(infos);
      // A page may begin with what an earlier one ended with, never with less.
      const first = infos[0];
      if (!isFirst && first !== undefined && last !== undefined && compareKeys(first.key, last) < 0) inOrder = false;
      if (!inOrder) {
        s3.learned.listsUnsorted = true;
        if (!isFirst) throw outOfOrder(s3, prefix);
        break;
      }
      for (const info of infos) {
        if (last !== undefined && compareKeys(info.key, last) <= 0) continue;
        yield info;
        last = info.key;
      }
      isFirst = false;
    }
    if (inOrder) return;
  }
  const all = new Map<string, ObjectInfo>();
  for await (const page of pages(s3, prefix)) for (const info of objectsOf(s3, page)) all.set(info.key, info);
  const sorted = [...all.values()].sort((a, b) => compareKeys(a.key, b.key));
  for (const info of sorted) if (after === undefined || compareKeys(info.key, after) > 0) yield info;
}

/** S3 orders `a-b/` before `a/`; the names themselves stand the other way round. So they are gathered and sorted. */
export async function* foldersS3(s3: S3Bucket, prefix: string): AsyncGenerator<string> {
  const start = s3.fullPrefix(prefix);
  const names = new Set<string>();
  for await (const page of pages(s3, prefix, { Delimiter: '/' })) {
    for (const { Prefix } of page.CommonPrefixes ?? []) {
      const name = decoded(Prefix ?? '', page.EncodingType).slice(start.length, -1);
      if (name !== '') names.add(name);
    }
  }
  yield* [...names].sort(compareKeys);
}

async function* pages(
  s3: S3Bucket,
  prefix: string,
  input: Partial<ListObjectsV2CommandInput> = {},
): AsyncGenerator<ListObjectsV2CommandOutput> {
  let token: string | undefined;
  do {
    s3.assertOpen();
    const command = new ListObjectsV2Command({
      ...input,
      Bucket: s3.bucket,
      Prefix: s3.fullPrefix(prefix),
      EncodingType: 'url', // XML cannot hold every key
      ...(token === undefined ? {} : { ContinuationToken: token }),
    });
    const page = await s3.client.send(command, s3.within()).catch((error: unknown) => {
      throw s3.failure(error);
    });
    yield page;
    const next = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    if (page.IsTruncated === true && (next === undefined || next === token)) {
      const message = `${s3.url}: the store cuts the list of "${prefix}" short and does not say how to go on`;
      throw new SeawallError('unreachable', 'STORE_BAD_ANSWER', message);
    }
    token = next;
  } while (token !== undefined);
}

function objectsOf(s3: S3Bucket, page: ListObjectsV2CommandOutput): ObjectInfo[] {
  const infos: ObjectInfo[] = [];
  for (const { Key, Size, ETag, LastModified } of page.Contents ?? []) {
    if (Key === undefined) continue;
    const key = s3.relative(decoded(Key, page.EncodingType));
    // Consoles make "folders": empty objects whose keys end with a slash. They are no keys of ours.
    if (key !== '' && !key.endsWith('/')) infos.push(infoOf(key, Size, ETag, LastModified));
  }
  return infos;
}

/** Undoes `EncodingType: 'url'`, where the store took notice of it. */
export function decoded(key: string, encoding: string | undefined): string {
  if (encoding !== 'url') return key;
  try {
    return decodeURIComponent(key.replaceAll('+', ' '));
  } catch {
    return key; // a stray % : this one was not encoded after all
  }
}

function isSorted(infos: readonly ObjectInfo[]): boolean {
  return infos.every((info, i) => {
    const before = infos[i - 1];
    return before === undefined || compareKeys(before.key, info.key) < 0;
  });
}

function outOfOrder(s3: S3Bucket, prefix: string): SeawallError {
  const message = `${s3.url}: the store lists "${prefix}" out of order; from now on its lists are sorted here: list again`;
  return new SeawallError('unreachable', 'STORE_UNSORTED', message);
}
