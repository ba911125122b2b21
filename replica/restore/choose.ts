/**
 * A replica as a whole, whichever program wrote it: generations of snapshots and WAL (ours, and those of Litestream
 * 0.3), or LTX files (Litestream 0.5), or both, if one program took over from the other.
 */
import { isKind, SeawallError } from '../terms/errors.ts';
import { chooseLtx } from './choose-in-ltx.ts';
import { loadLtxHistory, type LtxHistory } from '../ltx/history.ts';
import type { OpenAtOptions } from '../image/by-page/page-reader.ts';
import type { PastState } from '../image/by-page/past-state.ts';
import { restorableRanges, type RestorableRange } from '../plan/ranges.ts';
import type { Restorable } from './restorable.ts';
import { chooseInTimeline } from './choose-in-timeline.ts';
import type { Store } from '../store/store.ts';
import { formatTime, type Target } from '../terms/target.ts';
import { loadTimeline, type Timeline, type Tolerance } from '../catalogue/timeline.ts';

/** What a replica holds. At least one of the two is defined. */
export interface Replica {
  readonly timeline: Timeline | undefined;
  readonly ltx: LtxHistory | undefined;
}

/** Lists the replica. Throws `missing` (REPLICA_EMPTY) if there is no replica. */
export async function loadReplica(store: Store, may: Tolerance = {}): Promise<Replica> {
  const [files, generations] = await Promise.allSettled([loadLtxHistory(store), loadTimeline(store, may)]);
  if (files.status === 'rejected') throw files.reason;
  const ltx = files.value;
  if (generations.status === 'fulfilled') return { timeline: generations.value, ltx };
  const error: unknown = generations.reason;
  if (ltx === undefined || !isKind(error, 'unsupported') || error.code !== 'LTX_REPLICA') throw error;
  return { timeline: undefined, ltx };
}

/**
 * The state at a target. Throws as `planRestore` does. A damaged head is a warning; a damaged claim does not matter to
 * a position, which names its generation.
 */
export async function choose(store: Store, target: Target): Promise<Restorable> {
  return chooseIn(store, await loadReplica(store, { head: true, claim: target.kind === 'position' }), target);
}

/** Opens the state at a target for reading single pages. Throws as `planRestore` does. */
export async function openAt(store: Store, target: Target, options: OpenAtOptions = {}): Promise<PastState> {
  return (await choose(store, target)).pages(options);
}

/** The state at a target, in a replica that was loaded before. Throws as {@link choose} does. */
export async function chooseIn(store: Store, { timeline, ltx }: Replica, target: Target): Promise<Restorable> {
  if (ltx === undefined) return chooseInTimeline(store, timeline!, target);
  if (timeline === undefined || target.kind === 'txid') return chooseLtx(store, ltx, target);
  if (target.kind === 'position') return chooseInTimeline(store, timeline, target);
  return newer(
    store.url,
    await orBefore(chooseLtx(store, ltx, target)),
    await orBefore(chooseInTimeline(store, timeline, target)),
  );
}

/** Error codes of a target that lies before everything that one of the two programs wrote. */
const BEFORE: ReadonlySet<string> = new Set(['POINT_BEFORE_FIRST', 'NO_SNAPSHOT']);

async function orBefore(chosen: Promise<Restorable>): Promise<Restorable | SeawallError> {
  try {
    return await chosen;
  } catch (error) {
    if (!isKind(error, 'point', 'missing') || !BEFORE.has(error.code)) throw error;
    return error;
  }
}

/**
 * One program took over from the other, in whichever order: the newer of the two states is the database's, and the
 * warning names both. Any other error of one of them is thrown, because it is then unknown which is newer.
 */
function newer(url: string, files: Restorable | SeawallError, generations: Restorable | SeawallError): Restorable {
  if (files instanceof Error) {
    if (!(generations instanceof Error)) return generations;
    throw (files.facts.after ?? '~') < (generations.facts.after ?? '~') ? files : generations;
  }
  if (generations instanceof Error) return files;
  const [state, other] = files.time >= generations.time ? [files, generations] : [generations, files];
  const words = ({ position, time }: Restorable): string => `${position} of ${formatTime(time)}`;
  const warning =
    `${url} holds both generations and LTX files of Litestream 0.5. The newer state is taken, ${words(state)}. ` +
    `The other one is ${words(other)}; to restore it, ask for it by that name.`;
  return { ...state, warnings: [...state.warnings, warning] };
}

/**
 * A moment of the restorable past, each millisecond as likely as any other over all generations; of a replica of LTX
 * files a state, each as likely as any other. Throws `missing` (NO_SNAPSHOT) if nothing can be restored.
 *
 * @param random from 0 up to 1
 */
export async function pastTarget(store: Store, { timeline, ltx }: Replica, random: number): Promise<Target> {
  const states = ltx?.states ?? [];
  if (states.length > 0) return { kind: 'txid', txid: states[Math.floor(random * states.length)]!.txid };
  return pastMoment(store, timeline, random);
}

async function pastMoment(store: Store, timeline: Timeline | undefined, random: number): Promise<Target> {
  const ranges: RestorableRange[] = [];
  for (const generation of timeline?.generations ?? []) {
    for (const range of await restorableRanges(store, generation, timeline!.floors.get(generation.id) ?? 0)) {
      ranges.push(range);
    }
  }
  if (ranges.length === 0) {
    throw new SeawallError('missing', 'NO_SNAPSHOT', `the replica at ${store.url} has no snapshot yet`);
  }
  const span = ({ first, last }: RestorableRange): number => Math.max(0, last.time - first.time);
  let left = random * ranges.reduce((sum, range) => sum + span(range), 0);
  for (const range of ranges) {
    if (left < span(range)) return { kind: 'time', time: Math.floor(range.first.time + left) };
    left -= span(range);
  }
  return { kind: 'time', time: ranges[Math.floor(random * ranges.length)]!.first.time };
}
