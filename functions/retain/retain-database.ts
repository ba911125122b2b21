/** What the sweep does for one database: compact what events missed, retain, and measure the age of the backup. */
import { backupAge } from '../../replica/restore/backup-age.ts';
import { hasGenerations } from '../../replica/catalogue/databases.ts';
import { isKind } from '../../replica/terms/errors.ts';
import { loadReplica } from '../../replica/restore/choose.ts';
import type { RetentionPolicy } from '../../replica/retention/policy.ts';
import { retain } from '../../replica/retention/retain.ts';
import { scoped } from '../../replica/store/scoped.ts';
import { stoppable } from '../../replica/store/stoppable.ts';
import type { Store } from '../../replica/store/store.ts';
import { formatTime } from '../../replica/terms/target.ts';
import { compactDatabase, type OneDatabaseDeps } from '../compact/compact-databases.ts';
import { errorFacts } from '../failure.ts';

export interface RetainDeps extends OneDatabaseDeps {
  readonly retention: RetentionPolicy;
}

/** The steps are independent: each runs even if another failed. Throws the first failure after all of them. */
export async function sweepDatabase(database: string, signal: AbortSignal, deps: RetainDeps): Promise<void> {
  const { root, log, metrics } = deps;
  const store = scoped(stoppable(root, signal), database);
  const failures: unknown[] = [];
  const steps = {
    watch: () => watch(store, database, deps),
    // LTX files are compacted and retained by Litestream itself.
    ...((await hasGenerations(store)) && {
      compaction: () => compactDatabase(database, signal, deps),
      retention: () => retainDatabase(store, database, deps),
    }),
  };
  for (const [step, run] of Object.entries(steps)) {
    try {
      await run();
    } catch (error) {
      if (signal.aborted) throw error;
      if (isKind(error, 'missing') && error.code === 'REPLICA_EMPTY') {
        log.warn('not swept: there is no such database any more', { database });
        return;
      }
      log.error(`${step} failed`, { database, ...errorFacts(error) });
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  metrics.count('DatabasesSwept', 1);
}

async function watch(store: Store, database: string, { now, log, metrics }: RetainDeps): Promise<void> {
  const { age, seen, arrived } = await backupAge(store, await loadReplica(store), now());
  log.info('backup age', {
    database,
    age: age === undefined ? null : age / 1000,
    seen: seen === undefined ? null : formatTime(seen),
    arrived: arrived === undefined ? null : formatTime(arrived),
  });
  if (age !== undefined) metrics.age('BackupAge', age / 1000, database);
}

async function retainDatabase(
  store: Store,
  database: string,
  { retention, now, log, metrics }: RetainDeps,
): Promise<void> {
  try {
    const { refusals, kept, freed, failures } = await retain(store, { policy: retention, now: now() });
    metrics.count('RetentionRefused', refusals.length > 0 ? 1 : 0);
    const facts = { database, kept, freed, failures: failures.slice(0, 20) };
    if (refusals.length > 0) log.error('retention refused: nothing was deleted', { ...facts, refusals });
    else if (failures.length > 0) log.warn('retained, but some objects could not be deleted', facts);
    else log.info('retained', facts);
  } catch (error) {
    if (!(isKind(error, 'missing') && error.code === 'REPLICA_EMPTY')) metrics.count('RetentionFailed', 1);
    throw error;
  }
}
