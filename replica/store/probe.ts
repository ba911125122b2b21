import { randomBytes } from 'node:crypto';
import { isKind } from '../terms/errors.ts';
import type { Condition, Store } from './store.ts';

/** An ETag that no store gives to the bytes written here. */
const WRONG_ETAG = '"00000000000000000000000000000000"';

/**
 * Tries conditional writes: a condition that does not hold must be refused, and one that holds must not. Each body is new;
 * otherwise a store that accepts repeated writes would look like one that checks conditions.
 */
export async function probeByWriting(
  store: Pick<Store, 'put' | 'head' | 'delete'>,
  probeKey: string,
): Promise<boolean> {
  const write = async (condition: Condition): Promise<'written' | 'conflict' | 'unsupported'> => {
    try {
      await store.put(probeKey, randomBytes(24), condition);
      return 'written';
    } catch (error) {
      if (isKind(error, 'conflict')) return 'conflict';
      if (isKind(error, 'unsupported')) return 'unsupported';
      throw error;
    }
  };
  // The first may lose to what an earlier probe left; the second finds an object in any case.
  if ((await write('absent')) === 'unsupported') return false;
  let honoured = (await write('absent')) === 'conflict' && (await write({ ifMatch: WRONG_ETAG })) === 'conflict';
  if (honoured) {
    const current = await store.head(probeKey);
    honoured = current !== undefined && (await write({ ifMatch: current.etag })) === 'written';
  }
  await store.delete([probeKey]);
  return honoured;
}
