/**
 * The drill: proof that a replica can be restored, made by restoring it. The newest state and a random past moment are
 * restored, to nowhere or to a temporary file, and the evidence is kept in the replica.
 */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isKind, SeawallError, type ErrorFacts, type ErrorKind } from './errors.ts';
import { formatChecksum } from './format/page-hashes.ts';
import { openImage } from './image.ts';
import { DRILLS } from './layout.ts';
import { planRestore, type RestorePlan } from './plan.ts';
import { formatPosition } from './position.ts';
import { restorableRanges, type RestorableRange } from './ranges.ts';
import { restorePlan } from './restore.ts';
import { seal, type Json } from './sealed-json.ts';
import type { Store } from './store/store.ts';
import { formatTime, LATEST, type Target } from './target.ts';
import { loadTimeline, type Timeline } from './timeline.ts';

export interface DrillOptions {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** From 0 up to 1: where in the restorable past the second moment lies. */
  readonly random: number;
  /** Milliseconds from any fixed start, for how long a restore takes. */
  readonly elapsed: () => number;
  /** Bytes of WAL pages held in memory. */
  readonly memory?: number;
  /** Also runs SQLite's own check, where the folder has room for the database. */
  readonly integrity?: {
    readonly folder: string;
    /** Free bytes in the folder. */
    readonly room: () => Promise<number>;
    /** What SQLite finds wrong with a database file; nothing when all is well. */
    readonly check: (path: string) => Promise<readonly string[]>;
  };
}

export type IntegrityOutcome =
  | { readonly outcome: 'ok' }
  | { readonly outcome: 'damaged'; readonly findings: readonly string[] }
  | { readonly outcome: 'not-run'; readonly why: string };

export interface DrilledState {
  readonly position: string;
  /** RFC 3339. */
  readonly time: string;
  readonly pages: number;
  readonly pageSize: number;
  readonly bytes: number;
  readonly checksum: string;
  /** `recorded`: the checksum equals the one taken from the live database; `frames`: none was recorded. */
  readonly proof: 'recorded' | 'frames';
  readonly integrity: IntegrityOutcome;
  readonly seconds: number;
}

export interface DrilledMoment {
  readonly what: 'latest' | 'past';
  /** The point as one would ask for it. */
  readonly at: string;
  readonly restored: DrilledState | undefined;
  /** Why it was not restored. */
  readonly failure:
    | { readonly kind: ErrorKind; readonly code: string; readonly message: string; readonly facts: ErrorFacts }
    | undefined;
}

export interface DrillReport {
  readonly now: number;
  readonly passed: boolean;
  readonly moments: readonly DrilledMoment[];
  readonly proven: readonly string[];
  readonly notProven: readonly string[];
}

/** There is nothing to drill. */
const NO_FINDINGS: ReadonlySet<string> = new Set(['REPLICA_EMPTY', 'STORE_NO_BUCKET']);
/** Evidence kept in a replica. */
const DRILLS_KEPT = 90;

/**
 * Runs a drill and keeps its evidence. A state that cannot be restored, or not as it was recorded, is in the report;
 * thrown is what kept the drill from finding out (`denied`, `unreachable`, `local`) and `missing` (REPLICA_EMPTY).
 */
export async function drill(store: Store, options: DrillOptions): Promise<DrillReport> {
  const latest = await drillOne(store, 'latest', options, () => Promise.resolve(LATEST));
  const past = await drillOne(store, 'past', options, (timeline) => pastMoment(store, timeline, options.random));
  const report = summary(options.now, [latest, past]);
  await keep(store, report);
  return report;
}

async function drillOne(
  store: Store,
  what: DrilledMoment['what'],
  options: DrillOptions,
  choose: (timeline: Timeline) => Promise<Target>,
): Promise<DrilledMoment> {
  let at: string = what;
  for (let attempt = 1; ; attempt++) {
    try {
      const timeline = await loadTimeline(store);
      const target = await choose(timeline);
      if (target.kind === 'time') at = formatTime(target.time);
      const plan = await planRestore(store, timeline, target);
      return { what, at, restored: await restoreOnce(store, plan, options), failure: undefined };
    } catch (error) {
      if (!isKind(error, 'corrupt', 'unsupported', 'missing', 'point') || NO_FINDINGS.has(error.code)) throw error;
      // Retention may have taken something since the listing; damage is still there the second time.
      if (attempt === 1) continue;
      const { kind, code, message, facts } = error;
      return { what, at, restored: undefined, failure: { kind, code, message, facts } };
    }
  }
}

async function restoreOnce(store: Store, plan: RestorePlan, options: DrillOptions): Promise<DrilledState> {
  const began = options.elapsed();
  const memory = options.memory === undefined ? {} : { memory: options.memory };
  const image = await openImage(store, plan, memory);
  const { pageSize } = image;
  const needed = image.pages === undefined ? undefined : image.pages * pageSize;
  const why = await whyNoCheck(options.integrity, needed);
  let done: Awaited<ReturnType<typeof checked>>;
  if (options.integrity === undefined || why !== undefined) {
    let bytes = 0;
    for await (const block of image.blocks()) bytes += block.length;
    const position = formatPosition({ generation: plan.generation.id, ...image.end });
    done = { ...image.result(), bytes, position, integrity: { outcome: 'not-run', why: why ?? '' } };
  } else done = await checked(store, plan, options.integrity, memory);
  const { position, pages, bytes, checksum, proof, integrity } = done;
  return {
    position,
    time: formatTime(plan.time),
    pages,
    pageSize,
    bytes,
    checksum: formatChecksum(checksum),
    proof,
    integrity,
    seconds: Number(((options.elapsed() - began) / 1000).toFixed(3)),
  };
}

async function whyNoCheck(
  integrity: DrillOptions['integrity'],
  needed: number | undefined,
): Promise<string | undefined> {
  if (integrity === undefined) return 'this drill was run without it';
  if (needed === undefined) return 'the snapshot does not say how large the database is';
  const room = await integrity.room();
  // SQLite may want a little beside the file.
  if (room >= needed + (16 << 20)) return undefined;
  return `${needed} bytes do not fit into the ${room} that are free in ${integrity.folder}`;
}

async function checked(
  store: Store,
  plan: RestorePlan,
  integrity: NonNullable<DrillOptions['integrity']>,
  memory: { readonly memory?: number },
): Promise<{
  readonly position: string;
  readonly pages: number;
  readonly bytes: number;
  readonly checksum: bigint;
  readonly proof: DrilledState['proof'];
  readonly integrity: IntegrityOutcome;
}> {
  const path = join(integrity.folder, `drill-${randomBytes(8).toString('hex')}.db`);
  try {
    const restored = await restorePlan(store, plan, path, memory);
    const findings = await integrity.check(path);
    const outcome: IntegrityOutcome = findings.length === 0 ? { outcome: 'ok' } : { outcome: 'damaged', findings };
    return { ...restored, integrity: outcome };
  } finally {
    for (const suffix of ['', '-wal', '-shm', '-journal']) await rm(`${path}${suffix}`, { force: true });
  }
}

/** A moment of the restorable past, each millisecond as likely as any other, over all generations. */
async function pastMoment(store: Store, timeline: Timeline, random: number): Promise<Target> {
  const ranges: RestorableRange[] = [];
  for (const generation of timeline.generations) {
    ranges.push(...(await restorableRanges(store, generation, timeline.floors.get(generation.id) ?? 0)));
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

function summary(now: number, moments: readonly DrilledMoment[]): DrillReport {
  const proven: string[] = [];
  const notProven: string[] = [];
  for (const { what, at, restored, failure } of moments) {
    const name = what === 'latest' ? 'the latest state' : `the state at ${at}`;
    if (failure !== undefined) notProven.push(`${name} could not be restored: ${failure.message}`);
    if (restored === undefined) continue;
    const { proof, integrity } = restored;
    if (proof === 'recorded') proven.push(`${name} restores to the checksum taken from the live database`);
    else {
      proven.push(`${name} restores, and the checksums of its WAL frames hold`);
      notProven.push(`${name} has no recorded checksum to compare with: another program wrote the replica`);
    }
    if (integrity.outcome === 'ok') proven.push(`${name} passes SQLite's integrity check`);
    else if (integrity.outcome === 'damaged') notProven.push(`${name} fails SQLite's integrity check`);
    else notProven.push(`SQLite's integrity check was not run on ${name}: ${integrity.why}`);
  }
  const passed = moments.every(({ restored }) => restored !== undefined && restored.integrity.outcome !== 'damaged');
  return { now, passed, moments, proven, notProven };
}

async function keep(store: Store, report: DrillReport): Promise<void> {
  const moments = report.moments.map(({ restored, failure, ...rest }) => ({
    ...rest,
    restored: restored ?? null,
    failure: failure ?? null,
  }));
  const name = formatTime(report.now).replaceAll(':', '-');
  const body = { ...report, now: formatTime(report.now), moments };
  try {
    await store.put(`${DRILLS}${name}.json`, seal('drill', 1, body as unknown as Json), 'absent');
  } catch (error) {
    // Another drill at the very same millisecond: one piece of evidence is enough.
    if (!isKind(error, 'conflict')) throw error;
  }
  const kept: string[] = [];
  for await (const { key } of store.list(DRILLS)) kept.push(key);
  const old = kept.slice(0, -DRILLS_KEPT);
  if (old.length === 0) return;
  try {
    await store.delete(old);
  } catch (error) {
    // Too much evidence is no harm, and a role that may not delete is a choice.
    if (!isKind(error, 'denied')) throw error;
  }
}
