/** The results that a restore must have, from the oracle of a history. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { isKind, type SeawallError } from '../../replica/terms/errors.ts';
import { restore, type Restored, type RestoreOptions } from '../../replica/restore/restore.ts';
import type { Store } from '../../replica/store/store.ts';
import type { Target } from '../../replica/terms/target.ts';
import { hashOf, positionOf, type History, type State } from './history.ts';
import type { Scratch } from './scratch.ts';

export function at(state: State): Target {
  const { generation, index, offset } = state;
  return { kind: 'position', position: { generation, index, offset } };
}

/** Restores to a real file and compares every byte with what SQLite held. */
export async function expectState(
  store: Store,
  scratch: Scratch,
  target: Target,
  state: State,
  options: RestoreOptions = {},
): Promise<Restored> {
  const path = scratch.file();
  const restored = await restore(store, path, { ...options, target });
  const bytes = readFileSync(path);
  assert.equal(bytes.length, state.pages * restored.pageSize, `pages at ${positionOf(state)}`);
  assert.equal(hashOf(bytes), state.hash, `bytes at ${positionOf(state)}`);
  assert.equal(restored.checksum, state.checksum, `checksum at ${positionOf(state)}`);
  assert.equal(restored.proof, 'recorded');
  rmSync(path);
  return restored;
}

/** The state that a restore to `time` must give; undefined if there is none. */
export function stateAt(history: History, time: number): State | undefined {
  const generation = history.generations.findLast(({ states }) => states[0]!.time <= time);
  return generation?.states.findLast((state) => state.time <= time && state.marked && state.restorable);
}

/** Whether a position may be restored: for a commit without a mark of its own, the next mark decides. */
export function reachable(history: History, state: State): boolean {
  if (state.marked) return state.restorable;
  const { states } = history.generations.find(({ id }) => id === state.generation)!;
  return states.slice(states.indexOf(state)).find(({ marked }) => marked)!.restorable;
}

export function latestState(history: History): State {
  return history.generations.at(-1)!.states.findLast((state) => state.marked && state.restorable)!;
}

/** Awaits a failure of the named kinds; returns it. */
export async function expectKind(
  work: Promise<unknown>,
  ...kinds: readonly SeawallError['kind'][]
): Promise<SeawallError> {
  try {
    await work;
  } catch (error) {
    if (isKind(error, ...kinds)) return error;
    throw error;
  }
  assert.fail(`expected a failure (${kinds.join(', ')}), but it succeeded`);
}
