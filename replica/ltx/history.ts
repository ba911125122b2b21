/**
 * The states that can be made from a set of LTX files, and the files that make each one.
 *
 * A state is named by its last transaction. It can be made if files cover transactions 1 to that one without a gap. They
 * may overlap, because a file holds the pages as they are after its last transaction.
 */
import { corrupt, point } from '../terms/errors.ts';
import type { Store } from '../store/store.ts';
import { formatTime, formatTxid } from '../terms/target.ts';
import { listLtx, type LtxRef } from './layout.ts';
import { readLtxHeader } from './reader.ts';

/** A state that can be made. */
export interface LtxState {
  readonly txid: number;
  /** Of the files that end with this transaction, the one of the lowest level: it has the time of capture. */
  readonly file: LtxRef;
}

export interface LtxHistory {
  readonly files: readonly LtxRef[];
  readonly foreign: readonly string[];
  /** Ascending. */
  readonly states: readonly LtxState[];
  /** The last transaction of the newest file, whether its state can be made or not. */
  readonly last: number;
}

/** Lists a replica's LTX files. Undefined if there are none. */
export async function loadLtxHistory(store: Store): Promise<LtxHistory | undefined> {
  const { files, foreign } = await listLtx(store);
  return files.length === 0 ? undefined : ltxHistory(files, foreign);
}

function ltxHistory(files: readonly LtxRef[], foreign: readonly string[] = []): LtxHistory {
  const states: LtxState[] = [];
  const byEnd = files.toSorted((a, b) => a.max - b.max || a.level - b.level);
  let first = 0; // of those that end at the same transaction
  let before = 0; // the newest state older than that
  for (const [at, file] of byEnd.entries()) {
    if (file.max !== byEnd[first]!.max) {
      first = at;
      before = states.at(-1)?.txid ?? 0;
    }
    // If a file continues any older state, it continues the newest one.
    if (file.min <= before + 1 && states.at(-1)?.txid !== file.max) {
      states.push({ txid: file.max, file: byEnd[first]! });
    }
  }
  return { files, foreign, states, last: byEnd.at(-1)?.max ?? 0 };
}

/** The newest state. Throws `corrupt` (LTX_GAP) if newer files do not continue it. */
export function latestState(history: LtxHistory): LtxState {
  const state = history.states.at(-1);
  if (state?.txid === history.last) return state;
  const beyond = history.files.find(({ max }) => max > (state?.txid ?? 0))!;
  const missing = `${formatTxid((state?.txid ?? 0) + 1)} to ${formatTxid(beyond.min - 1)}`;
  throw corrupt(
    'LTX_GAP',
    `the transactions ${missing} before it are missing, so the latest state cannot be restored`,
    {
      key: beyond.key,
      ...(state && { before: formatTxid(state.txid) }),
    },
  );
}

/** When a state was captured, milliseconds since 1970, as its file records it. One small read. */
export async function stateTime(store: Store, state: LtxState): Promise<number> {
  return (await readLtxHeader(store, state.file)).time;
}

/**
 * The state at a time (milliseconds since 1970). Throws `point` if it is not known: before the first state
 * (POINT_BEFORE_FIRST), or between transactions that were merged into one file (POINT_NOT_KEPT).
 */
export async function stateAt(store: Store, history: LtxHistory, time: number): Promise<LtxState> {
  const { states } = history;
  let low = 0;
  for (let high = states.length; low < high;) {
    const middle = (low + high) >> 1;
    if ((await stateTime(store, states[middle]!)) <= time) low = middle + 1;
    else high = middle;
  }
  const state = states[low - 1];
  const next = states[low];
  const near = async (
    name: 'before' | 'after',
    at: LtxState | undefined,
  ): Promise<{ readonly before?: string; readonly after?: string }> =>
    at === undefined ? {} : { [name]: formatTime(await stateTime(store, at)) };
  if (state === undefined) {
    const message = `${formatTime(time)} lies before the first state that is kept`;
    throw point('POINT_BEFORE_FIRST', message, await near('after', next));
  }
  if (next === undefined) return latestState(history);
  if (next.txid === state.txid + 1) return state;
  const message = `the state at ${formatTime(time)} is not kept: its changes were merged with later ones`;
  throw point('POINT_NOT_KEPT', message, { ...(await near('before', state)), ...(await near('after', next)) });
}

/** The state after a transaction. Throws `point` (POINT_NOT_KEPT) if it cannot be made. */
export function stateOf(history: LtxHistory, txid: number): LtxState {
  const { states } = history;
  const state = states.find((each) => each.txid === txid);
  if (state !== undefined) return state;
  const name = (at: LtxState | undefined): string | undefined => at && formatTxid(at.txid);
  const before = name(states.findLast((each) => each.txid < txid));
  const after = name(states.find((each) => each.txid > txid));
  throw point('POINT_NOT_KEPT', `the state after transaction ${formatTxid(txid)} is not kept`, {
    ...(before !== undefined && { before }),
    ...(after !== undefined && { after }),
  });
}

/** The fewest files that make a state, oldest first; the first one holds the whole database. */
export function filesFor(history: LtxHistory, state: LtxState): readonly [LtxRef, ...LtxRef[]] {
  const usable = history.files.filter(({ max }) => max <= state.txid).sort((a, b) => a.min - b.min);
  const chain: LtxRef[] = [];
  let at = 0;
  let furthest: LtxRef | undefined;
  for (let reached = 0; reached < state.txid; reached = furthest!.max) {
    for (; at < usable.length && usable[at]!.min <= reached + 1; at++) {
      const file = usable[at]!;
      // Of two that reach as far, the one that begins later holds less.
      if (furthest === undefined || file.max >= furthest.max) furthest = file;
    }
    chain.push(furthest!);
  }
  return chain as [LtxRef, ...LtxRef[]];
}

/** States that follow each other one transaction at a time: between `first` and `last` any moment can be restored. */
export interface LtxRange {
  readonly first: LtxState;
  readonly last: LtxState;
}

/** The runs of consecutive states, oldest first. */
export function ltxRanges({ states }: LtxHistory): LtxRange[] {
  const ranges: LtxRange[] = [];
  for (const state of states) {
    const open = ranges.at(-1);
    if (open?.last.txid === state.txid - 1) ranges[ranges.length - 1] = { first: open.first, last: state };
    else ranges.push({ first: state, last: state });
  }
  return ranges;
}
