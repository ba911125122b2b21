/** Opens the store that an operand names, while a command works with it. */
import { openStore } from '../replica/store/open.ts';
import type { Store } from '../replica/store/store.ts';
import { interpret, UsageError } from './exit-codes.ts';

export const REPLICA = { name: 'replica', help: 'a folder, file:///path, or s3://bucket/prefix?region=…&endpoint=…' };

/** Throws a UsageError if the place names no store. What the work throws passes through. */
export async function withStore<T>(place: string, work: (store: Store) => Promise<T>): Promise<T> {
  if (/^memory:/i.test(place)) {
    throw new UsageError(
      `${place} exists in one process only, so it is empty here: name a folder or s3://bucket/prefix`,
    );
  }
  const store = await interpret(() => openStore(place));
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}
