/** Opens the store that an operand names, for as long as a command works with it. */
import { openStore } from '../replica/store/open.ts';
import type { Store } from '../replica/store/store.ts';
import { interpret, UsageError } from './exit-codes.ts';

export const REPLICA = { name: 'replica', help: 'a folder, file:///path, or s3://bucket/prefix?region=…&endpoint=…' };

/** Throws a UsageError when the place is none; whatever the work throws passes. */
export async function withStore<T>(place: string, work: (store: Store) => Promise<T>): Promise<T> {
  if (/^memory:/i.test(place)) {
    throw new UsageError(
      `${place} lives in one process only, so nothing is there: name a folder or s3://bucket/prefix`,
    );
  }
  const store = await interpret(() => openStore(place));
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}
