/** Reads the small objects that lie beside the generations: the claim, the head and the floors. */
import { MAX_SEALED } from '../format/sealed-json.ts';
import type { Store, StoredObject } from '../store/store.ts';
import { corrupt, isKind } from '../terms/errors.ts';

/** How often a control object is read if it is replaced during the read. */
const MOST_READS = 5;

/** Undefined if there is no such object. Throws `corrupt` (SEALED_SIZE) if it is too large for a control object. */
export async function readSmall(store: Store, key: string): Promise<StoredObject | undefined> {
  for (let reads = 1; ; reads++) {
    try {
      const found = await store.get(key, { suffix: MAX_SEALED });
      if (found.size > MAX_SEALED)
        throw corrupt('SEALED_SIZE', `${found.size} bytes are more than a control object has`, { key });
      return found;
    } catch (error) {
      if (isKind(error, 'missing') && error.code !== 'STORE_NO_BUCKET') return undefined;
      // Control objects are replaced at any time, also between the two halves of a read that was resumed.
      if (!isKind(error, 'conflict') || reads === MOST_READS) throw error;
    }
  }
}
