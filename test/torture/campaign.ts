/** One campaign: a plan carried out from an empty bucket to the last checks. */
import { spawnSync } from 'node:child_process';
import { suffer } from './aftermath.ts';
import { placeOf } from './content.ts';
import { keepEvidence } from './evidence.ts';
import type { Figures } from './figures.ts';
import { planCampaign, type Library } from './plan.ts';
import { runRound } from './round.ts';
import { World } from './world.ts';

export interface Failure {
  readonly seed: number;
  readonly round: number;
  readonly error: unknown;
  /** The folder that holds everything there was. */
  readonly evidence: string;
}

/** Libraries that are there to write with. */
export function librariesHere(): Library[] {
  const python = spawnSync('python3', ['-c', 'import sqlite3']).status === 0;
  return ['better-sqlite3', 'node:sqlite', ...(python ? (['python'] as const) : [])];
}

/** Runs the campaign of a seed until it is through or `signal` ends it between two rounds. */
export async function runCampaign(
  seed: number,
  options: {
    readonly libraries: readonly Library[];
    readonly figures: Figures;
    readonly evidence: string;
    readonly signal: AbortSignal;
  },
): Promise<Failure | undefined> {
  const { figures, signal } = options;
  await using world = await World.make(planCampaign(seed, options.libraries), figures);
  let round = 0;
  try {
    for (const plan of world.plan.rounds) {
      if (signal.aborted) break;
      await runRound(world, plan);
      round++;
      figures.rounds++;
      await suffer(world, plan);
      world.over.signal.throwIfAborted();
    }
    if (world.hasDatabase) figures.commits += placeOf(world.database).n;
    figures.campaigns++;
    return undefined;
  } catch (error) {
    world.fail(error);
    const first: unknown = world.over.signal.reason;
    return { seed, round, error: first, evidence: keepEvidence(world, round, first, options.evidence) };
  }
}
