import { FLOORS_KEY } from '../terms/layout.ts';
import { corrupt } from '../terms/errors.ts';
import type { PutResult, Condition, Store } from '../store/store.ts';
import { seal, unseal } from '../format/sealed-json.ts';
import { isGeneration, MAX_INDEX } from '../terms/position.ts';
import { readSmall } from './control-object.ts';

/** Generation to the first index whose WAL is kept; 2^32 if none is. */
export type Floors = ReadonlyMap<string, number>;

/** A floor above every index. */
export const NO_WAL = MAX_INDEX + 1;
export async function readFloors(
  store: Store,
): Promise<{ readonly floors: Floors; readonly etag: string } | undefined> {
  const found = await readSmall(store, FLOORS_KEY);
  if (found === undefined) return undefined;
  const body = unseal('floors', 1, found.body, FLOORS_KEY);
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw corrupt('FLOORS', 'no floors in it', { key: FLOORS_KEY });
  }
  const floors = new Map<string, number>();
  for (const [generation, floor] of Object.entries(body)) {
    if (!isGeneration(generation) || typeof floor !== 'number' || !isFloor(floor)) {
      throw corrupt('FLOORS', `no floor: ${JSON.stringify(generation)}: ${JSON.stringify(floor)}`, { key: FLOORS_KEY });
    }
    floors.set(generation, floor);
  }
  return { floors, etag: found.etag };
}

export function isFloor(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= NO_WAL;
}

export function writeFloors(store: Store, floors: Floors, condition: Condition): Promise<PutResult> {
  const sorted = [...floors].sort(([a], [b]) => (a < b ? -1 : 1));
  return store.put(FLOORS_KEY, seal('floors', 1, Object.fromEntries(sorted)), condition);
}
