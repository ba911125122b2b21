/**
 * Verification: every object of a replica, read and checked, without restoring anything.
 *
 * Each snapshot is decoded whole and its page hashes are computed anew; each segment is decoded, its frames are
 * followed along the WAL's chain, and the database checksum is carried from commit to commit and compared with what
 * the shipper recorded. A damaged object is a problem in the report, and what can still be checked behind it is.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readClaim, type Claim } from '../catalogue/claim.ts';
import { readFloors, NO_WAL, type Floors } from '../catalogue/floors.ts';
import { readHead, type FoundHead } from '../catalogue/head.ts';
import { formatChecksum } from '../format/page-hashes.ts';
import { hasGenerations } from '../catalogue/databases.ts';
import { CLAIM_KEY, CONTROL, FLOORS_KEY, GENERATIONS, HEAD_KEY, segmentKey } from '../terms/layout.ts';
import { chooseLtx } from '../restore/choose-in-ltx.ts';
import { loadLtxHistory, type LtxHistory } from '../ltx/history.ts';
import { verifyLtx } from './verify-ltx.ts';
import { GenerationReader } from '../plan/generation-reader.ts';
import { planLatest, planSnapshot, type RestorePlan } from '../plan/plan.ts';
import { formatPosition } from '../terms/position.ts';
import type { Restorable } from '../restore/restorable.ts';
import { restorableOf } from '../restore/choose-in-timeline.ts';
import { restoreState } from '../restore/restore.ts';
import { unsealAny } from '../format/sealed-json.ts';
import { NO_OBJECT } from '../store/store-errors.ts';
import type { Store } from '../store/store.ts';
import { LATEST } from '../terms/target.ts';
import type { Generation } from '../catalogue/generation.ts';
import { besideOf, otherProgramWarnings } from '../catalogue/other-program.ts';
import { listGenerations } from '../catalogue/timeline.ts';
import { GenerationCheck } from './verify-generation.ts';
import { type GenerationReport, isFinding, type Findings, type Problem, type ProofCount, addOnce } from './findings.ts';

/** Looks at a replica from which objects vanish under the looking. */
const MOST_LOOKS = 3;

/** Options of {@link verify} and their defaults. */
export interface VerifyOptions {
  /** Also restores the latest state of each generation into a temporary folder, and has the file checked. */
  readonly deep?: {
    /** Runs SQLite's integrity_check and foreign_key_check on the file and returns what they found; nothing when all is well. */
    readonly integrity: (path: string) => Promise<readonly string[]>;
    /** Where to restore to; the system's folder for temporary files unless given. */
    readonly folder?: string;
  };
  /** Called after each object with objects checked so far and in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** What {@link verify} found. */
export interface VerifyReport {
  /** Objects looked at. */
  readonly objects: number;
  /** Stored bytes. */
  readonly bytes: number;
  /** Snapshots. */
  readonly snapshots: number;
  /** WAL segments. */
  readonly segments: number;
  /** Commits found in the WAL. */
  readonly commits: number;
  /** Each generation by itself. */
  readonly generations: readonly GenerationReport[];
  /** Damage; empty if the replica is sound. */
  readonly problems: readonly Problem[];
  /** Things that are no damage but that someone should know: foreign keys, generations without a snapshot. */
  readonly warnings: readonly Problem[];
  /** What proves the objects. */
  readonly proof: ProofCount;
}

/**
 * Verifies a whole replica. Memory: 16 bytes a page and a few blocks. Throws what keeps it from reading (`denied`,
 * `unreachable`) and `missing` (REPLICA_EMPTY, or what a store lists but does not have); everything else is in the report.
 */
export async function verify(store: Store, options: VerifyOptions = {}): Promise<VerifyReport> {
  for (let looks = 1; ; looks++) {
    const report = await verifyListed(store, options);
    // What retention deleted between being listed and being read is no damage; a new listing is without it.
    if (looks === MOST_LOOKS || !report.problems.some(({ code }) => code === NO_OBJECT)) return report;
  }
}

async function verifyListed(store: Store, options: VerifyOptions): Promise<VerifyReport> {
  const control = await controlKeys(store);
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  let total = control.length;
  let done = 0;
  const findings: Findings = {
    problem(key, code, message) {
      addOnce(problems, { key, code, message });
    },
    warning(key, code, message) {
      addOnce(warnings, { key, code, message });
    },
    failed(key, error) {
      if (!isFinding(error)) throw error;
      addOnce(problems, { key: error.facts.key ?? key, code: error.code, message: error.message });
    },
    checked: () => options.onProgress?.(++done, total),
  };

  // What the control objects name is there already; a listing made before them might lack it in a live replica.
  const told = await readControl(store, control, findings);
  const { head, floors } = told;
  const ltx = await loadLtxHistory(store);
  const { generations, foreign } =
    ltx !== undefined && !(await hasGenerations(store))
      ? { generations: [], foreign: [] }
      : await listGenerations(store, head, true);
  if (ltx !== undefined && generations.length > 0) {
    const message = 'generations and LTX files lie side by side: a restore takes the newer state, and names both';
    findings.warning(ltx.files.at(-1)!.key, 'TWO_REPLICAS', message);
  }
  for (const { snapshots, segments } of generations) total += snapshots.length + segments.length;
  total += ltx?.files.length ?? 0;
  checkControl(told, generations, findings);
  const shipped = generations.find(({ id, snapshots }) => id === told.claim?.generation && snapshots.length > 0);
  const beside = shipped && (await besideOf(store, generations, shipped, head));
  for (const words of otherProgramWarnings({ shipped, beside })) {
    findings.warning(`${GENERATIONS}${beside!.generation.id}`, 'OTHER_PROGRAM', words);
  }
  for (const key of foreign) findings.warning(key, 'FOREIGN_KEY', `${key}: neither a snapshot nor a WAL segment`);
  const reports: GenerationReport[] = [];
  for (const generation of generations) {
    const ofHead = head?.position.generation === generation.id ? head : undefined;
    const reader = new GenerationReader(store, generation, floors.get(generation.id));
    reports.push(await new GenerationCheck(reader, ofHead, findings).run());
  }
  if (ltx !== undefined) reports.push(await verifyLtx(store, ltx, findings));
  if (options.deep !== undefined) await checkDeep(store, { generations, floors, ltx }, options.deep, findings);

  const sum = (of: (report: GenerationReport) => number): number => reports.reduce((all, each) => all + of(each), 0);
  return {
    objects: total,
    bytes: sum((each) => each.bytes) + control.reduce((all, { size }) => all + size, 0),
    snapshots: sum((each) => each.snapshots),
    segments: sum((each) => each.segments),
    commits: sum((each) => each.commits),
    generations: reports,
    problems,
    warnings,
    proof: { recorded: sum((each) => each.proof.recorded), frames: sum((each) => each.proof.frames) },
  };
}

async function controlKeys(store: Store): Promise<{ readonly key: string; readonly size: number }[]> {
  const found: { key: string; size: number }[] = [];
  for await (const { key, size } of store.list(CONTROL)) found.push({ key, size });
  return found;
}

interface Control {
  readonly claim: Claim | undefined;
  readonly head: FoundHead | undefined;
  readonly floors: Floors;
}

async function readControl(
  store: Store,
  keys: readonly { readonly key: string }[],
  findings: Findings,
): Promise<Control> {
  let claim: Claim | undefined;
  let head: FoundHead | undefined;
  let floors: Floors = new Map();
  for (const { key } of keys) {
    try {
      if (key === CLAIM_KEY) claim = (await readClaim(store))?.claim;
      else if (key === HEAD_KEY) head = await readHead(store);
      else if (key === FLOORS_KEY) floors = (await readFloors(store))?.floors ?? floors;
      else unsealAny((await store.get(key)).body, key);
    } catch (error) {
      findings.failed(key, error);
    }
    findings.checked();
  }
  return { claim, head, floors };
}

function checkControl({ claim, head, floors }: Control, generations: readonly Generation[], findings: Findings): void {
  const known = new Set(generations.map(({ id }) => id));
  const claimed = generations.find(({ id }) => id === claim?.generation);
  if (claim !== undefined && !known.has(claim.generation)) {
    const message = `the claimed generation ${claim.generation} has no objects`;
    findings.warning(CLAIM_KEY, 'CLAIM_WITHOUT_OBJECTS', message);
  }
  for (const { id, strays = [] } of generations) {
    for (const { index, offset, codec } of strays) {
      const message = 'no part of the history: another object holds this place; restores do not read it';
      findings.warning(segmentKey(id, index, offset, codec), 'STRAY_SEGMENT', message);
    }
  }
  // A generation that was claimed since, and has a snapshot, has no head yet; retention may have taken the former one.
  const isFormer = claim !== undefined && head !== undefined && claim.since >= head.seen && claimed?.snapshots.length;
  const isGivenUp = head !== undefined && floors.get(head.position.generation) === NO_WAL;
  if (head !== undefined && !known.has(head.position.generation) && !isFormer && !isGivenUp) {
    const message = `the head names ${formatPosition(head.position)}, of which nothing is there`;
    findings.problem(HEAD_KEY, 'HEAD_BEYOND_SEGMENTS', message);
  }
}

interface Contents {
  readonly generations: readonly Generation[];
  readonly floors: Floors;
  readonly ltx: LtxHistory | undefined;
}

/** The newest state of each generation, and of the LTX files. */
function* newestStates(
  store: Store,
  { generations, floors, ltx }: Contents,
): Generator<{ readonly key: string; readonly choose: () => Promise<Restorable> }> {
  for (const generation of generations) {
    const newest = generation.snapshots.at(-1);
    if (newest === undefined) continue;
    // WAL that retention has given up may end anywhere; the snapshot is promised.
    const reader = new GenerationReader(store, generation, floors.get(generation.id));
    const plan = (): Promise<RestorePlan> =>
      newest.index < reader.floor ? planSnapshot(reader, newest) : planLatest(reader);
    yield { key: `generations/${generation.id}`, choose: async () => restorableOf(store, await plan()) };
  }
  if (ltx !== undefined) yield { key: ltx.files.at(-1)!.key, choose: () => chooseLtx(store, ltx, LATEST) };
}

async function checkDeep(
  store: Store,
  contents: Contents,
  deep: NonNullable<VerifyOptions['deep']>,
  findings: Findings,
): Promise<void> {
  const folder = await mkdtemp(join(deep.folder ?? tmpdir(), 'seawall-verify-'));
  const path = join(folder, 'newest.db');
  try {
    for (const { key, choose } of newestStates(store, contents)) {
      try {
        const restored = await restoreState(await choose(), path);
        for (const finding of await deep.integrity(path)) {
          const where = `${restored.position} (checksum ${formatChecksum(restored.checksum)})`;
          findings.problem(key, 'DATABASE_INTEGRITY', `the database at ${where}: ${finding}`);
        }
      } catch (error) {
        findings.failed(key, error);
      }
      for (const suffix of ['', '-wal', '-shm', '-journal']) await rm(`${path}${suffix}`, { force: true });
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
