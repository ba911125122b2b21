/** The order of generations: that of the times whose history they hold. */
import type { FoundHead } from './head.ts';
import { isKind } from '../terms/errors.ts';
import { lastWritten, segmentsOf, startOf, type Generation, type Start } from './generation.ts';
import { lastWord } from './other-program.ts';
import { readWal } from '../objects/segment-reader.ts';
import type { Store } from '../store/store.ts';

interface Dated {
  readonly generation: Generation;
  readonly start: Start;
  /** What it is ordered by. */
  readonly from: number;
  /** Written beside one of ours that began no later: what the database was then, that one tells. */
  readonly isBeside: boolean;
  /** Only of those that nothing else tells apart. */
  readonly reach: WalReach | undefined;
}

/** How far a generation's WAL reaches in the life of the database file. */
interface WalReach {
  /** Of the WAL's header. Where it begins anew SQLite adds one to it; a new WAL file begins at random. */
  readonly salt1: number;
  /** The byte of that WAL. */
  readonly offset: number;
}

/** Restarts of a WAL within a second, at most; a larger difference of salts is chance. */
const MOST_RESTARTS = 1 << 20;

/**
 * Oldest first. Another program's generation that began while a shipper was at work on one of ours comes before that:
 * of the times from then on ours is the history, and goes on to be when the other program is long gone.
 *
 * Stores tell whole seconds, and Litestream may begin two generations within one. Of these the later is the one that was
 * written longer, or else the one whose WAL reaches further.
 *
 * With `tolerant`, a generation whose oldest object is damaged is put in its place by the store's clock, so that it does
 * not keep the others from being restored.
 */
export async function inOrder(
  store: Store,
  generations: readonly Generation[],
  head: FoundHead | undefined,
  tolerant: boolean,
): Promise<Generation[]> {
  if (generations.length < 2) return [...generations];
  const dated: Dated[] = [];
  for (const generation of generations) {
    const start = await startForOrder(store, generation, tolerant);
    dated.push({ generation, start, from: start.time, isBeside: false, reach: undefined });
  }
  for (const [at, each] of dated.entries()) {
    if (each.start.isForeign) dated[at] = besideOurs(each, dated, head);
  }
  for (const [at, each] of dated.entries()) {
    const isTwin = dated.some((other) => other !== each && byTimes(other, each) === 0);
    if (isTwin) dated[at] = { ...each, reach: await walReachOf(store, each.generation, tolerant) };
  }
  return dated.sort(compare).map(({ generation }) => generation);
}

function besideOurs(foreign: Dated, dated: readonly Dated[], head: FoundHead | undefined): Dated {
  const { time } = foreign.start;
  const ours = dated.find(
    ({ generation, start }) => !start.isForeign && start.time <= time && lastWord(generation, head) > time,
  );
  return ours === undefined ? foreign : { ...foreign, from: ours.start.time, isBeside: true };
}

function compare(a: Dated, b: Dated): number {
  return byTimes(a, b) || byReach(a, b) || (a.generation.id < b.generation.id ? -1 : 1);
}

function byTimes(a: Dated, b: Dated): number {
  return (
    a.from - b.from || Number(b.isBeside) - Number(a.isBeside) || lastWritten(a.generation) - lastWritten(b.generation)
  );
}

function byReach({ reach: a }: Dated, { reach: b }: Dated): number {
  if (a === undefined || b === undefined) return 0;
  const restarts = (a.salt1 - b.salt1) | 0;
  return Math.abs(restarts) > MOST_RESTARTS ? 0 : restarts || a.offset - b.offset;
}

/** What was written within one second is soon read. */
async function walReachOf(store: Store, generation: Generation, tolerant: boolean): Promise<WalReach | undefined> {
  let reach: WalReach | undefined;
  const last = generation.segments.at(-1);
  if (last === undefined) return undefined;
  try {
    for await (const { tail } of readWal(store, generation.id, segmentsOf(generation, last.index))) {
      if (tail.wal !== undefined) reach = { salt1: tail.wal.salt1, offset: tail.offset };
    }
  } catch (error) {
    if (!tolerant || !isKind(error, 'corrupt', 'unsupported')) throw error;
  }
  return reach;
}

async function startForOrder(store: Store, generation: Generation, tolerant: boolean): Promise<Start> {
  try {
    return await startOf(store, generation);
  } catch (error) {
    if (!tolerant || !isKind(error, 'corrupt', 'unsupported')) throw error;
    return { time: (generation.snapshots[0] ?? generation.segments[0])!.lastModified, isForeign: false };
  }
}
