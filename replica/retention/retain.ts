/** Retention: one sweep over one replica. Plans, records the floors, deletes, checks that it is gone, and reports. */
import { writeFloors, readFloors, NO_WAL, type Floors } from '../catalogue/floors.ts';
import { isKind } from '../terms/errors.ts';
import { GENERATIONS, REPORTS } from '../terms/layout.ts';
import { seal, type Json } from '../format/sealed-json.ts';
import type { Store } from '../store/store.ts';
import { fromListing, loadTimeline } from '../catalogue/timeline.ts';
import { deleteInOrder, type Deletion, type Failure } from './deleter.ts';
import { takeInventory } from './inventory.ts';
import { planRetention, type Doomed, type Kept, type Refusal, type RetentionPlan } from './planner.ts';
import { retentionPolicy, type RetentionPolicy } from './policy.ts';

/** Options of {@link retain} and their defaults. */
export interface RetainOptions {
  /** What differs from {@link DEFAULT_RETENTION}. */
  readonly policy?: Partial<RetentionPolicy>;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Plans and reports, but changes nothing. */
  readonly dryRun?: boolean;
}

/** How much. */
export interface Amount {
  /** Number of objects. */
  readonly objects: number;
  /** Stored bytes. */
  readonly bytes: number;
}

/** What {@link retain} did, and why. */
export interface RetainReport {
  /** The present that the plan was made for, milliseconds since 1970. */
  readonly now: number;
  /** The policy, defaults filled in. */
  readonly policy: RetentionPolicy;
  /** Whether nothing was changed because only a plan was asked for. */
  readonly dryRun: boolean;
  /** Why nothing was deleted; empty if the plan was carried out. */
  readonly refusals: readonly Refusal[];
  /** How much stays. */
  readonly kept: Amount;
  /** What the plan gives up. */
  readonly planned: Amount;
  /** What of the plan is really gone; nothing in a dry run. */
  readonly freed: Amount;
  /** Every object that stays, and why. */
  readonly keep: readonly Kept[];
  /** What the plan deletes, in its order. */
  readonly delete: readonly Doomed[];
  /** Keys that are still there (locked ones, and those the store only said it deleted), and what was not allowed. */
  readonly failures: readonly Failure[];
  /** Unfinished uploads, more than a week old, that were aborted. */
  readonly abandonedUploads: number;
}

/** Reports kept in the replica. */
const REPORTS_KEPT = 30;
/** Keys listed in a stored report, so that it stays small. */
const KEYS_REPORTED = 2000;
const ABANDONED = 7 * 24 * 3_600_000;
const PREFIX = `${REPORTS}retain-`;

/**
 * Deletes what the policy no longer wants. Throws `missing` (there is no replica), `corrupt` (an object that decides what
 * to delete is damaged; nothing is deleted then), `denied` or `unreachable` (RETENTION_STOPPED; what was deleted before
 * is already reported in the replica). Refusals are in the report and are not thrown.
 */
export async function retain(store: Store, options: RetainOptions): Promise<RetainReport> {
  const policy = retentionPolicy(options.policy);
  const { now } = options;
  if (!Number.isSafeInteger(now)) throw new RangeError(`now must be milliseconds since 1970, not ${now}`);
  // Another sweep may be deleting at the same time.
  const inventory = await fromListing(async () => takeInventory(store, await loadTimeline(store)));
  const plan = planRetention(inventory, policy, now);
  const dryRun = options.dryRun === true;
  if (dryRun) return reportOf(plan, policy, now, true, undefined, NO_UPLOADS);

  let deletion: Deletion | undefined;
  if (plan.delete.length > 0) {
    await raiseFloors(store, plan.floors);
    deletion = await deleteInOrder(store, plan.delete);
  }
  const uploads = deletion?.stopped === undefined ? await abortAbandoned(store, now) : NO_UPLOADS;
  const report = reportOf(plan, policy, now, false, deletion, uploads);
  await writeReport(store, report, deletion);
  if (deletion?.stopped !== undefined) throw deletion.stopped;
  return report;
}

/** Floors only rise; those of generations that are gone are dropped. */
async function raiseFloors(store: Store, floors: Floors): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const found = await readFloors(store);
    const merged = new Map(floors);
    for (const [id, floor] of found?.floors ?? []) {
      const ours = merged.get(id);
      if (ours !== undefined) merged.set(id, Math.min(Math.max(ours, floor), NO_WAL));
    }
    try {
      await writeFloors(store, merged, found === undefined ? 'absent' : { ifMatch: found.etag });
      return;
    } catch (error) {
      if (!isKind(error, 'conflict') || attempt === 5) throw error;
    }
  }
}

interface Abandoned {
  readonly aborted: number;
  readonly failures: readonly Failure[];
}

const NO_UPLOADS: Abandoned = { aborted: 0, failures: [] };

/** A courtesy: if it is denied or unsupported, lifecycle rules of the bucket do the same. */
async function abortAbandoned(store: Store, now: number): Promise<Abandoned> {
  let aborted = 0;
  try {
    for await (const upload of store.unfinished(GENERATIONS)) {
      if (upload.started > now - ABANDONED) continue;
      await upload.abort();
      aborted++;
    }
  } catch (error) {
    if (!isKind(error, 'denied', 'unsupported')) throw error;
    const message = `unfinished uploads were not looked for: ${error.message}`;
    return { aborted, failures: [{ key: GENERATIONS, code: 'UPLOADS_NOT_LISTED', message }] };
  }
  return { aborted, failures: [] };
}

function reportOf(
  plan: RetentionPlan,
  policy: RetentionPolicy,
  now: number,
  dryRun: boolean,
  deletion: Deletion | undefined,
  uploads: Abandoned,
): RetainReport {
  const gone = new Set(deletion?.gone);
  return {
    now,
    policy,
    dryRun,
    refusals: plan.refusals,
    kept: amount(plan.keep),
    planned: amount(plan.delete),
    freed: amount(plan.delete.filter(({ key }) => gone.has(key))),
    keep: plan.keep,
    delete: plan.delete,
    failures: [...(deletion?.refused ?? []), ...(deletion?.remained ?? []), ...uploads.failures],
    abandonedUploads: uploads.aborted,
  };
}

function amount(objects: readonly { readonly size: number }[]): Amount {
  return { objects: objects.length, bytes: objects.reduce((sum, { size }) => sum + size, 0) };
}

async function writeReport(store: Store, report: RetainReport, deletion: Deletion | undefined): Promise<void> {
  const { keep, delete: doomed, failures, ...rest } = report;
  const body = {
    ...rest,
    keep: keep.slice(0, KEYS_REPORTED).map(({ key, reasons }) => ({ key, reasons })),
    delete: doomed.slice(0, KEYS_REPORTED).map(({ key, reason }) => ({ key, reason })),
    failures: failures.slice(0, KEYS_REPORTED),
    stopped: deletion?.stopped?.message ?? null,
  };
  const name = new Date(report.now).toISOString().replaceAll(':', '-');
  await store.put(`${PREFIX}${name}.json`, seal('retain', 1, body as unknown as Json));
  const reports: string[] = [];
  for await (const { key } of store.list(PREFIX)) reports.push(key);
  const old = reports.slice(0, -REPORTS_KEPT);
  if (old.length > 0) await store.delete(old);
}
