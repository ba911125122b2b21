/**
 * The retention planner: from an inventory and a policy it decides what is kept and why, and what is deleted and why, or
 * why nothing is deleted. Pure: no store, no clock.
 *
 * Retention only narrows. An object is deleted only if each of these allows it: the policy now; the policy applied to the
 * moment a grace period ago and the objects of that time, so that a restore planned since then finds its objects; the
 * object's own age; and the rule that the newest chain of the current generation is never touched.
 */
import { NO_WAL, type Floors } from '../catalogue/floors.ts';
import type { Inventory, StockedGeneration, StockedSegment, StockedSnapshot } from './inventory.ts';
import type { RetentionPolicy } from './policy.ts';
import { wantedAt, type Wanted } from './wanted.ts';

/** Milliseconds by which clocks may differ. */
const CLOCK_TOLERANCE = 300_000;

/** An object that the plan keeps. */
export interface Kept {
  /** Its key, relative to the replica. */
  readonly key: string;
  /** Bytes stored. */
  readonly size: number;
  /** Why, in words of one kind each: `window`, `daily`, `base`, `grace` and others. At least one. */
  readonly reasons: readonly string[];
}

/** An object that the plan deletes. */
export interface Doomed {
  /** Its key, relative to the replica. */
  readonly key: string;
  /** Bytes stored. */
  readonly size: number;
  /** The generation it belongs to. */
  readonly generation: string;
  /** `beyond-window`: the policy no longer wants it. `unfinished`: its generation never got a snapshot. */
  readonly reason: 'beyond-window' | 'unfinished';
}

/** Why nothing is deleted at all. */
export interface Refusal {
  /**
   * `NOTHING_RESTORABLE`: there is no snapshot. `CLOCK`: a snapshot is dated after the present. `WINDOW_HOLE`: WAL is
   * missing inside the window.
   */
  readonly code: 'NOTHING_RESTORABLE' | 'CLOCK' | 'WINDOW_HOLE';
  /** The same for people, with the place. */
  readonly message: string;
}

/** What {@link planRetention} decided. */
export interface RetentionPlan {
  /** Every object that stays. */
  readonly keep: readonly Kept[];
  /** In the order in which they are to be deleted; snapshots first, oldest first, then WAL, newest place first. */
  readonly delete: readonly Doomed[];
  /** If there is one, nothing is deleted. */
  readonly refusals: readonly Refusal[];
  /** Must be recorded before anything is deleted. */
  readonly floors: Floors;
}

/**
 * Decides what is kept and what is deleted. Pure: it asks no store and no clock. A plan with refusals deletes nothing.
 *
 * @param now the present, milliseconds since 1970
 */
export function planRetention(inventory: Inventory, policy: RetentionPolicy, now: number): RetentionPlan {
  const wanted = wantedAt(inventory, policy, now);
  const refusals = refusalsOf(inventory, policy, now, wanted);
  if (refusals.length > 0 || wanted === undefined) {
    const keep = objectsOf(inventory.generations).map(({ key, size }) => ({ key, size, reasons: ['refused'] }));
    return { keep, delete: [], refusals, floors: inventory.floors };
  }
  const young = (object: { readonly lastModified: number }): boolean => object.lastModified > now - policy.grace;
  const before = wantedAt(inventoryAsOf(inventory, now - policy.grace), policy, now - policy.grace);
  const keep: Kept[] = [];
  const doomed: Doomed[] = [];
  const floors = new Map<string, number>();
  let whole = false; // nothing after WAL that stays is deleted, because a hole in the past would look like an idle time
  for (const generation of inventory.generations) {
    const cut = cutOf(generation, inventory, { wanted, before, young, whole });
    whole ||= generation.snapshots.length > 0 && cut.floor !== NO_WAL;
    const floor = Math.max(cut.floor, inventory.floors.get(generation.id) ?? 0);
    if (floor > 0) floors.set(generation.id, floor);
    // One by one: an argument for each of some 100,000 objects overflows the stack.
    for (const each of cut.keep) keep.push(each);
    for (const each of cut.doomed) doomed.push(each);
  }
  // If the head names a generation that was deleted completely, this records that nothing of it is missing.
  for (const id of inventory.named) {
    const floor = inventory.floors.get(id);
    if (floor !== undefined && !floors.has(id)) floors.set(id, floor);
  }
  return { keep, delete: doomed, refusals: [], floors };
}

interface Cut {
  readonly floor: number;
  readonly keep: readonly Kept[];
  readonly doomed: readonly Doomed[];
}

interface Judges {
  readonly wanted: Wanted;
  /** What was wanted a grace period ago; undefined if nothing could be restored then. */
  readonly before: Wanted | undefined;
  readonly young: (object: { readonly lastModified: number }) => boolean;
  /** True if an older generation keeps WAL: this one is then kept completely. */
  readonly whole: boolean;
}

function cutOf(generation: StockedGeneration, inventory: Inventory, judges: Judges): Cut {
  if (generation.snapshots.length === 0) return cutUnfinished(generation, inventory, judges);
  const { id, snapshots, segments } = generation;
  const { wanted, before, young, whole } = judges;
  const limit = Math.min(
    whole ? 0 : NO_WAL,
    wanted.walFrom.get(id) ?? 0,
    before?.walFrom.get(id) ?? 0, // a generation that did not exist then is kept completely
    segments.find(young)?.index ?? NO_WAL,
  );
  // WAL is of use only from a snapshot on, so it is deleted only up to a snapshot.
  const base = limit === NO_WAL ? undefined : snapshots.findLast(({ index }) => index <= limit);
  const from = limit === NO_WAL ? NO_WAL : (base?.index ?? 0);
  const floor = Math.max(from, inventory.floors.get(id) ?? 0);

  const keep: Kept[] = [];
  const doomed: (StockedSnapshot | StockedSegment)[] = [];
  for (const snapshot of snapshots) {
    const reasons = new Set(wanted.snapshots.get(snapshot.key));
    if (snapshot === base || (base === undefined && limit !== NO_WAL)) reasons.add('base');
    if (reasons.size === 0 && whole) reasons.add('behind-older-wal');
    const wasWanted = before === undefined || before.snapshots.has(snapshot.key);
    if (reasons.size === 0 && (wasWanted || young(snapshot))) reasons.add('grace');
    if (reasons.size > 0) keep.push({ key: snapshot.key, size: snapshot.size, reasons: [...reasons] });
    else doomed.push(snapshot);
  }
  for (const segment of segments) {
    if (segment.index < floor && !young(segment)) doomed.push(segment);
    else keep.push({ key: segment.key, size: segment.size, reasons: [young(segment) ? 'grace' : 'window'] });
  }
  const reason = 'beyond-window';
  const ordered = deletionOrder(doomed).map(({ key, size }) => ({ key, size, generation: id, reason }) as const);
  return { floor: from, keep, doomed: ordered };
}

/** A generation without a snapshot restores nothing. It is deleted when no shipper can be writing it any more. */
function cutUnfinished({ id, segments }: StockedGeneration, inventory: Inventory, judges: Judges): Cut {
  const inUse = inventory.named.has(id) || inventory.current === id;
  if (inUse || segments.some(judges.young)) {
    const reasons = [inUse ? 'named' : 'grace'];
    return { floor: 0, keep: segments.map(({ key, size }) => ({ key, size, reasons })), doomed: [] };
  }
  const reason = 'unfinished';
  return {
    floor: 0,
    keep: [],
    doomed: deletionOrder(segments).map(({ key, size }) => ({ key, size, generation: id, reason }) as const),
  };
}

/**
 * The order of deletion: snapshots first, oldest first; then WAL, newest place first.
 *
 * So wherever the deletion stops, every snapshot that is left is followed by an unbroken beginning of its WAL, and every
 * state in it is a state the database had. In the opposite order, an index would be missing or cut short while a later
 * one is still there. Our restores notice that; Litestream's would lay pages over the wrong state. The snapshots go
 * first because the WAL that stays may follow an index that is being cut short: if an older snapshot were still there,
 * and the restore asked for a time before the snapshot between the two was written, Litestream would replay both. The
 * floors, which are written before, record that what is left is no longer promised.
 */
export function deletionOrder<T extends { readonly index: number; readonly offset?: number }>(
  objects: readonly T[],
): T[] {
  return objects.toSorted((a, b) => {
    if (a.offset === undefined || b.offset === undefined) {
      return a.offset === b.offset ? a.index - b.index : a.offset === undefined ? -1 : 1;
    }
    return b.index - a.index || b.offset - a.offset;
  });
}

/** The inventory without objects that were written after `time`. */
function inventoryAsOf(inventory: Inventory, time: number): Inventory {
  const there = (object: { readonly lastModified: number }): boolean => object.lastModified <= time;
  const generations = inventory.generations
    .map(({ id, snapshots, segments }) => ({
      id,
      snapshots: snapshots.filter(there),
      segments: segments.filter(there),
    }))
    .filter(({ snapshots, segments }) => snapshots.length + segments.length > 0);
  return { ...inventory, generations };
}

function refusalsOf(inventory: Inventory, policy: RetentionPolicy, now: number, wanted: Wanted | undefined): Refusal[] {
  if (wanted === undefined) {
    return [{ code: 'NOTHING_RESTORABLE', message: 'no generation has a snapshot, so nothing may be deleted' }];
  }
  const refusals: Refusal[] = [];
  let latest = -Infinity;
  for (const { snapshots } of inventory.generations) for (const { time } of snapshots) latest = Math.max(latest, time);
  if (latest > now + Math.max(policy.grace, CLOCK_TOLERANCE)) {
    const message = `a snapshot is dated ${new Date(latest).toISOString()}, after the present ${new Date(now).toISOString()}`;
    refusals.push({ code: 'CLOCK', message: `${message}: one of the clocks is wrong` });
  }
  for (const generation of inventory.generations) {
    const from = wanted.walFrom.get(generation.id) ?? NO_WAL;
    const missing =
      from === NO_WAL ? undefined : missingIndex(generation, from, inventory.floors.get(generation.id) ?? 0);
    if (missing === undefined) continue;
    const place = `${generation.id}/${missing.toString(16).padStart(8, '0')}`;
    const message = `WAL ${place} is missing inside the window; nothing is deleted until the cause is found`;
    refusals.push({ code: 'WINDOW_HOLE', message });
  }
  return refusals;
}

/** The first index at or after `from` that should be there and is not. Below the floor, no index has to be there. */
function missingIndex({ snapshots, segments }: StockedGeneration, from: number, floor: number): number | undefined {
  if (snapshots.length === 0) return undefined;
  const starts = new Set(segments.filter(({ offset }) => offset === 0).map(({ index }) => index));
  const bases = new Set(snapshots.map(({ index }) => index));
  // WAL before the first snapshot shows that a snapshot is gone.
  const begin = Math.min(snapshots[0]!.index, segments[0]?.index ?? snapshots[0]!.index);
  const first = Math.max(from <= snapshots[0]!.index ? begin : from, floor);
  const last = Math.max(snapshots.at(-1)!.index - 1, segments.at(-1)?.index ?? -1);
  if (segments.length > 0 && first <= last && !bases.has(first)) return first;
  for (let index = first; index <= last; index++) if (!starts.has(index)) return index;
  return undefined;
}

function objectsOf(generations: readonly StockedGeneration[]): { readonly key: string; readonly size: number }[] {
  return generations.flatMap(({ snapshots, segments }) => [...snapshots, ...segments]);
}
