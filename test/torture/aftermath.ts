/** What happens to the machine between two rounds. */
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { Seeded } from '../history/seeded.ts';
import { Finding, hold } from './finding.ts';
import { Life } from './life.ts';
import type { RoundPlan } from './plan.ts';
import { Process } from './process.ts';
import { peaceful } from './round.ts';
import { script } from './steps.ts';
import type { World } from './world.ts';

const WRITER = new URL('./processes/writer.ts', import.meta.url).pathname;
const PATIENCE = 90_000;

export async function suffer(world: World, { aftermath, seed }: RoundPlan): Promise<void> {
  const random = new Seeded(seed ^ 0xaf7e);
  world.note('aftermath', aftermath);
  switch (aftermath) {
    case 'nothing':
      return;
    case 'machine-lost':
      if (world.promises.last === undefined) return; // nothing to come back from
      world.removeDatabase();
      rmSync(world.stateFolder, { recursive: true, force: true });
      return;
    case 'state-lost':
      rmSync(world.stateFolder, { recursive: true, force: true });
      return;
    case 'changed-offline':
      await changeOffline(world, random);
      return;
    case 'taken-over':
      await takeOver(world, random);
      return;
  }
}

/** Somebody works on the database while nothing is shipped. */
async function changeOffline(world: World, random: Seeded): Promise<void> {
  if (!world.hasDatabase) return; // it was lost, and no app has lived long enough to bring it back
  const command: [string, ...string[]] = [process.execPath, WRITER, world.database, 'better-sqlite3'];
  const writer = new Process<never>(command, world.key('writer'), () => undefined);
  writer.send(...script('hostile', random, world.plan.database, random.range(10, 150)));
  if (random.chance(0.5)) writer.send({ sql: 'PRAGMA wal_checkpoint(TRUNCATE)' });
  writer.finish();
  await writer.ended;
  if (writer.failure !== undefined) throw new Finding(`the writer ${writer.failure}`);
}

/**
 * Another machine goes on with a copy of the database while this one still runs: from then on the copy is the database,
 * and the first shipper must notice and stop.
 */
async function takeOver(world: World, random: Seeded): Promise<void> {
  world.takeover = true;
  world.figures.takeovers++;
  const copy = join(world.folder, 'other.db');
  const first = new Life(world, { ...peaceful(random), syncEvery: 50 }, 100);
  let second: Life | undefined;
  try {
    await first.untilReady(PATIENCE);
    const source = new Database(world.database);
    await source.backup(copy);
    source.close();
    const db = new Database(copy);
    db.pragma('journal_mode = WAL');
    db.exec('UPDATE stamp SET branch = branch + 1');
    db.close();
    second = new Life(world, peaceful(random), 30, copy);
    await second.untilReady(PATIENCE);
    // It writes on, and meets the other’s objects at its next upload.
    first.work(200);
    await first.untilDead(PATIENCE);
    hold(first.fenced || world.over.signal.aborted, () => 'two shippers go on with one replica');
    second.finish();
    await second.untilStopped(PATIENCE);
  } finally {
    await first.end();
    await second?.end();
    world.takeover = false;
  }
  world.over.signal.throwIfAborted();
  world.removeDatabase();
  rmSync(world.stateFolder, { recursive: true, force: true });
  const settled = new Database(copy);
  settled.pragma('wal_checkpoint(TRUNCATE)');
  settled.close();
  renameSync(copy, world.database);
  rmSync(`${copy}-seawall`, { recursive: true, force: true });
}
