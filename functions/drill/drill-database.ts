/** The drill of one database. */
import { drill, type DrillOptions } from '../../replica/restore/drill.ts';
import { isKind } from '../../replica/terms/errors.ts';
import { scoped } from '../../replica/store/scoped.ts';
import { stoppable } from '../../replica/store/stoppable.ts';
import type { Store } from '../../replica/store/store.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';

export interface DrillDeps {
  readonly root: Store;
  readonly memory: number;
  readonly now: () => number;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly elapsed: () => number;
  readonly integrity: NonNullable<DrillOptions['integrity']>;
  readonly log: Log;
  readonly metrics: Metrics;
}

/**
 * A drill that fails is recorded and counted, and is then done. Only a drill that could not be run throws, and is
 * repeated.
 */
export async function drillDatabase(database: string, signal: AbortSignal, deps: DrillDeps): Promise<void> {
  const { root, memory, now, random, elapsed, integrity, log, metrics } = deps;
  const store = scoped(stoppable(root, signal), database);
  try {
    const report = await drill(store, { now: now(), random: random(), elapsed, memory, integrity });
    const { passed, moments, proven, notProven } = report;
    metrics.count('DrillPassed', passed ? 1 : 0);
    metrics.count('DrillFailed', passed ? 0 : 1);
    if (passed) log.info('drill passed', { database, moments, proven, notProven });
    else log.error('drill failed', { database, moments, proven, notProven });
  } catch (error) {
    if (isKind(error, 'missing') && error.code === 'REPLICA_EMPTY') {
      log.warn('no drill: there is no such database any more', { database });
      return;
    }
    throw error;
  }
}
