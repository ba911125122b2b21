import { MAX_SEALED } from '../format/sealed-json.ts';
import type { Store, StoredObject } from '../store/store.ts';
import { corrupt, isKind } from '../terms/errors.ts';

/** Tries to read a control object that is replaced under the reading. */
const MOST_READS = 5;
export async function readSmall(store: Store, key: string): Promise<StoredObject | undefined> {
  for (let reads = 1; ; reads++) {
    try {
      const found = await store.get(key, { suffix: MAX_SEALED });
      if (found.size > MAX_SEALED) throw corrupt('SEALED_SIZE', `${found.size} bytes are no control object`, { key });
      return found;
    } catch (error) {
      if (isKind(error, 'missing') && error.code !== 'STORE_NO_BUCKET') return undefined;
      // Control objects are there to be replaced, also while a broken-off answer is gone on with.
      if (!isKind(error, 'conflict') || reads === MOST_READS) throw error;
    }
  }
}
