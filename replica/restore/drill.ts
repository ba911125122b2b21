/**
 * The drill: proof that a replica can be restored, made by restoring it. The newest state and a random past moment are
 * restored, to nowhere or to a temporary file, and the evidence is kept in the replica.
 */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isKind, type ErrorFacts, type ErrorKind } from '../terms/errors.ts';
import { DRILLS } from '../terms/layout.ts';
import { chooseIn, loadReplica, pastTarget, type Replica } from './choose.ts';
import type { Restorable, WrittenState } from './restorable.ts';
import { restoreState } from './restore.ts';
import { restoredFacts, type RestoredFacts } from './restored-facts.ts';
import { seal, type Json } from '../format/sealed-json.ts';
import type { Store } from '../store/store.ts';
import { formatTarget, formatTime, LATEST, type Target } from '../terms/target.ts';
import { NOWHERE } from '../image/to-file/target-file.ts';

export interface DrillOptions {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** From 0 up to 1: where in the restorable past the second moment lies. */
  readonly random: number;
  /** Milliseconds from any fixed start, for how long a restore takes. */
  readonly elapsed: () => number;
  /** Bytes of WAL pages held in memory. */
  readonly memory?: number;
  /** Also runs SQLite's own check, if the folder has space for the database. */
  readonly integrity?: {
    readonly folder: string;
    /** Free bytes in the folder. */
    readonly room: () => Promise<number>;
    /** What SQLite finds wrong with a database file; nothing if all is well. */
    readonly check: (path: string) => Promise<readonly string[]>;
  };
}

export type IntegrityOutcome =
  | { readonly outcome: 'ok' }
  | { readonly outcome: 'damaged'; readonly findings: readonly string[] }
  | { readonly outcome: 'not-run'; readonly why: string };

export interface DrilledState extends RestoredFacts {
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
  const past = await drillOne(store, 'past', options, (replica) => pastTarget(store, replica, options.random));
  const report = summary(options.now, [latest, past]);
  await keep(store, report);
  return report;
}

async function drillOne(
  store: Store,
  what: DrilledMoment['what'],
  options: DrillOptions,
  pick: (replica: Replica) => Promise<Target>,
): Promise<DrilledMoment> {
  let at: string = what;
  for (let attempt = 1; ; attempt++) {
    try {
      const replica = await loadReplica(store);
      const target = await pick(replica);
      at = formatTarget(target);
      const state = await chooseIn(store, replica, target);
      return { what, at, restored: await restoreOnce(state, options), failure: undefined };
    } catch (error) {
      if (!isKind(error, 'corrupt', 'unsupported', 'missing', 'point') || NO_FINDINGS.has(error.code)) throw error;
      // Retention may have deleted something since the listing; damage is still there the second time.
      if (attempt === 1) continue;
      const { kind, code, message, facts } = error;
      return { what, at, restored: undefined, failure: { kind, code, message, facts } };
    }
  }
}

type Proven = WrittenState & { readonly integrity: IntegrityOutcome };

async function restoreOnce(state: Restorable, options: DrillOptions): Promise<DrilledState> {
  const began = options.elapsed();
  const memory = options.memory === undefined ? {} : { memory: options.memory };
  const { bytes, write } = await state.toFile();
  const why = await whyNoCheck(options.integrity, bytes);
  let done: Proven;
  if (options.integrity === undefined || why !== undefined) {
    done = { ...(await write(NOWHERE, memory)), integrity: { outcome: 'not-run', why: why ?? '' } };
  } else done = await checked(state, options.integrity, memory);
  return {
    ...restoredFacts(state, done),
    integrity: done.integrity,
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
  state: Restorable,
  integrity: NonNullable<DrillOptions['integrity']>,
  memory: { readonly memory?: number },
): Promise<Proven> {
  const path = join(integrity.folder, `drill-${randomBytes(8).toString('hex')}.db`);
  try {
    const restored = await restoreState(state, path, memory);
    const findings = await integrity.check(path);
    const outcome: IntegrityOutcome = findings.length === 0 ? { outcome: 'ok' } : { outcome: 'damaged', findings };
    return { ...restored, integrity: outcome };
  } finally {
    for (const suffix of ['', '-wal', '-shm', '-journal']) await rm(`${path}${suffix}`, { force: true });
  }
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
      proven.push(`${name} restores, and the checksums of its ${proof === 'files' ? 'files' : 'WAL frames'} hold`);
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
