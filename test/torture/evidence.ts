/** Keeps everything there is when something was found: the bucket, the database, the log, the plan. */
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BUCKET, type World } from './world.ts';

/** The folder made. */
export function keepEvidence(world: World, round: number, error: unknown, root: string): string {
  const folder = join(root, `seed-${world.plan.seed}-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  for (const { key } of world.server.objects(BUCKET)) {
    const path = join(folder, 'bucket', key);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, world.server.peek(BUCKET, key));
  }
  const lines = (items: readonly unknown[]): string => items.map((item) => `${JSON.stringify(item)}\n`).join('');
  writeFileSync(join(folder, 'bucket-history.jsonl'), lines(world.server.history));
  writeFileSync(join(folder, 'log.jsonl'), lines(world.log));
  writeFileSync(join(folder, 'plan.json'), JSON.stringify(world.plan, undefined, 2));
  writeFileSync(join(folder, 'promises.jsonl'), lines(world.promises.all));
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  writeFileSync(join(folder, 'finding.txt'), `round ${round}\n${text}\n${rerunLine(world.plan.seed)}\n`);
  if (existsSync(world.folder)) cpSync(world.folder, join(folder, 'machine'), { recursive: true });
  return folder;
}

export function rerunLine(seed: number): string {
  return `rerun: npm run torture -- --seed ${seed} --campaigns 1`;
}
