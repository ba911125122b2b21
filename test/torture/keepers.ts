/** Compaction and retention beside the writers: events twice, late and out of order, and kills. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Seeded } from '../history/seeded.ts';
import { count } from './figures.ts';
import { Finding } from './finding.ts';
import { killRule, pointsOf } from './kill-points.ts';
import type { KeeperPlan } from './plan.ts';
import { Process } from './process.ts';
import type { KeeperCommand, KeeperSettings, KeeperWord } from './processes/keeper.ts';
import { BUCKET, DATABASE, ROOT, type World } from './world.ts';

const KEEPER = new URL('./processes/keeper.ts', import.meta.url).pathname;
const POINTS = pointsOf('keeper');
/** Notifications that wait for a keeper; older ones are lost, as when a queue’s messages expire. */
const WAITING = 20;
/** Milliseconds in which a keeper must have begun; its life is counted from then on. */
const START_LIMIT = 20_000;

/** Runs keepers, one after the other, until the signal. */
export async function keep(world: World, plan: KeeperPlan, signal: AbortSignal): Promise<void> {
  const random = new Seeded(plan.seed);
  const waiting: string[] = [];
  const stop = world.server.events.subscribe(BUCKET, { prefix: `${ROOT}${DATABASE}/` }, (notification) => {
    if (!notification.Records.some(({ s3 }) => /_00000000\.wal\.(lz4|zst)$/.test(s3.object.key))) return;
    const body = JSON.stringify(notification);
    for (let i = 0; i < 2; i++) waiting.splice(random.int(waiting.length + 1), 0, body);
    waiting.splice(WAITING);
  });
  try {
    while (!signal.aborted) await keeperLife(world, plan, random, waiting, signal);
  } finally {
    stop();
  }
}

async function keeperLife(
  world: World,
  plan: KeeperPlan,
  random: Seeded,
  waiting: string[],
  signal: AbortSignal,
): Promise<void> {
  const key = world.key('keeper');
  const { compaction, retention } = world.plan;
  const { endpoint } = world.server;
  const settings: KeeperSettings = { endpoint, bucket: BUCKET, root: ROOT, compaction, retention, memory: plan.memory };
  let end = performance.now() + START_LIMIT;
  const keeper = new Process<KeeperWord>([process.execPath, KEEPER, JSON.stringify(settings)], key, (word) => {
    if (word.message === 'ready') end = performance.now() + random.range(1000, 8000);
    hear(world, key, word);
  });
  const kill = (point?: string): void => {
    if (!keeper.kill()) return;
    world.figures.kills.keeper++;
    if (point !== undefined) count(world.figures.points, point);
    world.note('keeper killed', { key, ...(point !== undefined && { point }) });
  };
  const point = random.chance(0.6) ? random.pick(POINTS) : undefined;
  const rule = point && world.server.faults.add(killRule(point, 1 + random.int(3), key, () => { kill(point); })); // prettier-ignore
  try {
    let nextSweep = performance.now() + random.int(plan.sweepEvery);
    while (keeper.running && performance.now() < end && !signal.aborted) {
      const notifications = waiting.splice(0, 1 + random.int(3));
      if (notifications.length > 0) keeper.send({ notifications } satisfies KeeperCommand);
      if (performance.now() > nextSweep) {
        keeper.send({ sweep: DATABASE } satisfies KeeperCommand);
        nextSweep = performance.now() + plan.sweepEvery;
      }
      await sleep(50);
    }
    kill();
  } finally {
    rule?.remove();
    await keeper.ended;
    world.lastSweep = Date.now();
    if (keeper.failure !== undefined) world.fail(new Finding(`the keeper ${keeper.failure}`));
  }
}

function hear(world: World, key: string, { level, message, facts }: KeeperWord): void {
  world.note(`keeper: ${message}`, { key, facts });
  if (message === 'retained') world.figures.deleted += (facts as { freed: { objects: number } }).freed.objects;
  if (level !== 'error') return;
  const { error } = (facts ?? {}) as { error?: { kind?: string } };
  if (error?.kind !== 'unreachable') world.fail(new Finding(`the keeper says: ${message}: ${JSON.stringify(facts)}`));
}
