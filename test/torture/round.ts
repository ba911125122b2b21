/** One round: lives of the app beside writers, keepers and restores; then the end, and the checks. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isKind } from '../../replica/terms/errors.ts';
import { LATEST } from '../../replica/terms/target.ts';
import { Seeded } from '../history/seeded.ts';
import { checkAll, checkLatest, isEmpty, restoreAndCheck } from './checks.ts';
import { placeOf } from './content.ts';
import { Finding } from './finding.ts';
import { keep } from './keepers.ts';
import { Life } from './life.ts';
import type { LifePlan, RoundPlan, WriterPlan } from './plan.ts';
import { Process } from './process.ts';
import { script } from './steps.ts';
import type { World } from './world.ts';

const WRITER = new URL('./processes/writer.ts', import.meta.url).pathname;
const PYTHON_WRITER = new URL('./processes/writer.py', import.meta.url).pathname;
/** Steps of a script; more than a process gets through in its life. */
const STEPS = 1500;
/** Milliseconds that anything may take that nothing is in the way of. Generous, for slow machines. */
const PATIENCE = 90_000;
const READY_LIMIT = 15_000;

export async function runRound(world: World, plan: RoundPlan): Promise<void> {
  const random = new Seeded(plan.seed);
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, world.over.signal]);
  world.note('round', { end: plan.end, aftermath: plan.aftermath, trouble: plan.trouble });
  world.trouble(plan.trouble);
  const beside = [
    ...plan.writers.map((writer) => write(world, writer, signal)),
    ...plan.keepers.map((keeper) => keep(world, keeper, signal)),
    probe(world, plan, random, signal),
    outages(world, plan, signal),
  ].map((work) =>
    work.catch((error: unknown) => {
      world.fail(error);
    }),
  );
  try {
    for (const life of plan.lives) if (!signal.aborted) await runLife(world, life);
  } finally {
    over.abort();
    await Promise.all(beside);
  }
  world.over.signal.throwIfAborted();
  world.trouble(undefined);
  await bringToEnd(world, plan, random);
  world.over.signal.throwIfAborted();
  world.note('checks');
  await checkAll(world, random, plan.end !== 'kill');
  if (world.hasDatabase) world.note('checked', placeOf(world.database));
}

async function runLife(world: World, plan: LifePlan): Promise<void> {
  const life = new Life(world, plan, STEPS);
  try {
    await life.untilReady(READY_LIMIT);
    await life.untilDead(plan.duration);
    if (!life.running && plan.orphanKilledAfter !== undefined) await sleep(plan.orphanKilledAfter);
    else if (!life.running) await life.untilHelperEnds(PATIENCE);
  } finally {
    await life.end();
  }
}

/** An app that lives in peace for a moment: it goes on with what is there, and everything is shipped in the end. */
async function bringToEnd(world: World, plan: RoundPlan, random: Seeded): Promise<void> {
  if (plan.end === 'kill') return;
  const last = new Life(world, peaceful(random), 20);
  try {
    await last.untilReady(PATIENCE);
    if (plan.end === 'stop') {
      last.finish();
      await last.untilStopped(PATIENCE);
    } else {
      await sleep(random.int(300));
      last.kill('app');
      await last.untilHelperEnds(PATIENCE);
    }
  } finally {
    await last.end();
  }
}

export function peaceful(random: Seeded): Omit<LifePlan, 'duration' | 'orphanKilledAfter'> {
  return {
    library: random.pick(['better-sqlite3', 'node:sqlite']),
    manner: 'steady',
    seed: random.int(2 ** 31),
    syncEvery: Infinity,
    snapshotAfter: null,
    kills: [],
    helperKilledEvery: undefined,
  };
}

/** A writer beside the app, made again when it was killed. */
async function write(world: World, plan: WriterPlan, signal: AbortSignal): Promise<void> {
  const isOver = (): boolean => signal.aborted;
  const random = new Seeded(plan.seed);
  while (!isOver()) {
    // A file that a writer makes would stand in the way of the restore.
    if (!world.hasDatabase) {
      await sleep(50);
      continue;
    }
    const command: [string, ...string[]] =
      plan.library === 'python'
        ? ['python3', PYTHON_WRITER, world.database]
        : [process.execPath, WRITER, world.database, plan.library];
    const writer = new Process<never>(command, world.key('writer'), () => undefined);
    writer.send(...script(plan.manner, random, world.plan.database, STEPS));
    writer.finish();
    const end = performance.now() + (plan.killedAfter ?? Infinity);
    while (writer.running && performance.now() < end && !isOver()) await sleep(20);
    if (writer.kill()) world.figures.kills.writer++;
    await writer.ended;
    if (writer.failure !== undefined) throw new Finding(`a writer ${writer.failure}`);
  }
}

/** Restores while everything runs. */
async function probe(world: World, plan: RoundPlan, random: Seeded, signal: AbortSignal): Promise<void> {
  const isOver = (): boolean => signal.aborted;
  while (!isOver()) {
    await sleep(plan.probeEvery, undefined, { signal }).catch(() => undefined);
    if (isOver()) return;
    const began = Date.now();
    const { last } = world.promises;
    try {
      if (random.chance(0.6)) await checkLatest(world);
      else await restoreAndCheck(world, last === undefined ? LATEST : { kind: 'time', time: began });
    } catch (error) {
      const tookTooLong = Date.now() - began > world.plan.retention.grace / 2;
      if (isKind(error, 'unreachable')) continue; // an outage
      if (isKind(error, 'missing') && tookTooLong) continue; // swept meanwhile, as the grace period allows
      if (isEmpty(error) && last === undefined) continue;
      throw error;
    }
  }
}

async function outages(world: World, { trouble }: RoundPlan, signal: AbortSignal): Promise<void> {
  for (const { after, lasts } of trouble.outages) {
    await sleep(after, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    world.note('outage', { lasts });
    world.server.pause();
    await sleep(lasts, undefined, { signal }).catch(() => undefined);
    world.server.resume();
    world.note('outage over');
  }
}
