/**
 * One object for each place. The key of a segment ends in its codec, so two objects can hold "the same" segment: of a
 * shipper with another codec that took the replica over, or of a PUT that arrived after its shipper was restarted with
 * another codec. Shippers keep the codec of a generation; replicas that were written before must still be read.
 *
 * Of two objects with equal WAL bytes either one will do. Else the headers tell which of them the WAL continues.
 */
import { stateAfter, type ParsedSegmentHeader } from '../format/segment.ts';
import { readSegmentHeader, type SegmentRef } from '../objects/segment-reader.ts';
import type { Store } from '../store/store.ts';
import { comparePlaces, type Place } from '../terms/position.ts';

export interface SettledPlaces {
  /** By place, ascending; one for each. */
  readonly segments: readonly SegmentRef[];
  /** Objects that are no part of the history; absent if there are none. */
  readonly strays?: readonly SegmentRef[];
}

/** Costs nothing if each place has one object; else the headers of the segments in doubt are read. */
export async function settlePlaces(
  store: Store,
  generation: string,
  segments: readonly SegmentRef[],
): Promise<SettledPlaces> {
  const settled: SegmentRef[] = [];
  const strays: SegmentRef[] = [];
  for (let at = 0; at < segments.length;) {
    if (!isTwin(segments, at)) {
      settled.push(segments[at++]!);
      continue;
    }
    const end = regionEnd(segments, at);
    const read = (segment: SegmentRef): Promise<Candidate> => candidate(store, generation, segment);
    const region = await Promise.all(segments.slice(at, end).map(read));
    const previous = settled.at(-1);
    const before = previous && (await read(previous));
    const after = segments[end] && (await read(segments[end]));
    const chosen = choose(region, before, after);
    for (const { segment } of region) (chosen.has(segment) ? settled : strays).push(segment);
    at = end;
  }
  return strays.length === 0 ? { segments: settled } : { segments: settled, strays };
}

interface Candidate {
  readonly segment: SegmentRef;
  /** Undefined for an object of another program. */
  readonly header: ParsedSegmentHeader | undefined;
}

async function candidate(store: Store, generation: string, segment: SegmentRef): Promise<Candidate> {
  return { segment, header: await readSegmentHeader(store, generation, segment) };
}

function isTwin(segments: readonly SegmentRef[], at: number): boolean {
  const next = segments[at + 1];
  return next !== undefined && comparePlaces(segments[at]!, next) === 0;
}

/** The first segment after `at` that begins an index and has its place alone. What follows it is no longer in doubt. */
function regionEnd(segments: readonly SegmentRef[], at: number): number {
  for (let end = at + 2; end < segments.length; end++) {
    const isAlone = !isTwin(segments, end) && comparePlaces(segments[end]!, segments[end - 1]!) !== 0;
    if (segments[end]!.offset === 0 && isAlone) return end;
  }
  return segments.length;
}

/** The candidates on the way that leads furthest. */
function choose(
  region: readonly Candidate[],
  before: Candidate | undefined,
  after: Candidate | undefined,
): ReadonlySet<SegmentRef> {
  interface Way {
    readonly reach: Place;
    readonly next: Candidate | undefined;
  }
  const ways = new Map<Candidate, Way>();
  const best = (candidates: readonly Candidate[], codec: string | undefined): Candidate | undefined =>
    candidates.toSorted(
      (a, b) =>
        comparePlaces(ways.get(b)!.reach, ways.get(a)!.reach) ||
        Number(b.segment.codec === codec) - Number(a.segment.codec === codec),
    )[0];
  if (after !== undefined) ways.set(after, { reach: after.segment, next: undefined });
  for (const each of region.toReversed()) {
    const followers = [...ways.keys()].filter((other) => follows(each, other));
    const next = best(followers, each.segment.codec);
    ways.set(each, { reach: next === undefined ? each.segment : ways.get(next)!.reach, next });
  }
  const first = region[0]!.segment;
  const starts = region.filter(
    (each) => comparePlaces(each.segment, first) === 0 && (before === undefined || follows(before, each)),
  );
  const chosen = new Set<SegmentRef>();
  let at = best(starts.length > 0 ? starts : [region[0]!], before?.segment.codec);
  const furthest = at && ways.get(at)!.reach;
  for (; at !== undefined; at = ways.get(at)?.next) chosen.add(at.segment);
  const last = (after ?? region.at(-1)!).segment;
  if (furthest !== undefined && comparePlaces(furthest, last) >= 0) return chosen;
  // Something is missing on the way. What stands alone stays, so that whoever reads it meets the gap.
  for (const { segment } of region) {
    const isAlone = region.filter((other) => comparePlaces(other.segment, segment) === 0).length === 1;
    if (isAlone) chosen.add(segment);
  }
  return chosen;
}

function follows(a: Candidate, b: Candidate): boolean {
  const isNextIndex = b.segment.index === a.segment.index + 1 && b.segment.offset === 0;
  const isInIndex = b.segment.index === a.segment.index && b.segment.offset > a.segment.offset;
  if (!isNextIndex && !isInIndex) return false;
  if (a.header === undefined || b.header === undefined) return true;
  if (isInIndex && b.segment.offset !== a.segment.offset + a.header.rawLength) return false;
  const { pages, checksum } = stateAfter(a.header);
  return pages === b.header.before.pages && checksum === b.header.before.checksum;
}
