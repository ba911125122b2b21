import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import { memoryStore } from '../../../replica/store/memory.ts';
import { storeConformance } from '../../../testing/index.ts';
import { rejects } from '../../../testing/store/failures.ts';

const S3_LIMITS = { minPart: 5 * 2 ** 20, minCopySource: 5 * 2 ** 20 + 1 };

for (const [name, options] of [
  ['memory', {}],
  ['memory with the limits of S3', { limits: S3_LIMITS }],
] as const) {
  storeConformance(name, () => Promise.resolve(memoryStore(options)));
}

test('memory: a copy from too small a source is refused', async () => {
  const store = memoryStore({ limits: S3_LIMITS });
  const { etag } = await store.put('small', Buffer.alloc(1000));
  const upload = await store.upload('to');
  await rejects(upload.copy(1, 0, 'small', { offset: 0, length: 10 }, etag), 'unsupported', 'STORE_COPY_SOURCE_SMALL');
});

test('memory: a store opened again holds the same objects', async () => {
  const store = memoryStore();
  await store.put('k', Buffer.from('kept'));
  await store.close();
  assert.equal((await store.reopen().get('k')).body.toString(), 'kept');
});
