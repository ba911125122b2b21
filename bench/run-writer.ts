/** Runs the benchmarks' app with one way of backing it up, or none. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Litestream } from '../test/interop/litestream.ts';
import { placeOn, startSidecar } from './litestream.ts';
import type { S3Process } from './s3.ts';
import type { FromWriter, Work, Written } from './writer.ts';

/** How the database is backed up while the app writes. */
export type Way = 'none' | 'bystander' | 'seawall' | Litestream;

export function nameOf(way: Way): string {
  return typeof way === 'string' ? way : way.name;
}

/** One run on a fresh database; `moment` is called, and awaited, when the measured time begins and when it ends. */
export async function runWriter(
  folder: string,
  server: S3Process,
  way: Way,
  work: Omit<Work, 'database' | 'replica'>,
  moment: (moment: 'begin' | 'end') => Promise<void> = () => Promise.resolve(),
): Promise<Written> {
  const scene = mkdtempSync(join(folder, `${nameOf(way)}-`));
  const database = join(scene, 'app.db');
  const prefix = scene.slice(folder.length + 1);
  try {
    if (way === 'bystander') {
      const bystander = fork(join(import.meta.dirname, 'bystander.ts'), [database]);
      try {
        return await write({ ...work, database }, moment);
      } finally {
        bystander.kill();
        await once(bystander, 'exit');
      }
    }
    if (typeof way === 'string') {
      return await write({ ...work, database, ...(way === 'seawall' ? { replica: server.url(prefix) } : {}) }, moment);
    }
    // Litestream waits for the database, as a sidecar does that is started before the app.
    const sidecar = await startSidecar(way, placeOn(server, prefix), database);
    try {
      return await write({ ...work, database }, moment);
    } finally {
      await sidecar.stop();
    }
  } finally {
    rmSync(scene, { recursive: true, force: true });
  }
}

async function write(work: Work, moment: (moment: 'begin' | 'end') => Promise<void>): Promise<Written> {
  const child = fork(join(import.meta.dirname, 'writer.ts'), [JSON.stringify(work)], {
    env: { ...process.env, AWS_ACCESS_KEY_ID: 'bench', AWS_SECRET_ACCESS_KEY: 'bench-secret' },
  });
  let written: Written | undefined;
  child.on('message', (message: FromWriter) => {
    if (message.tell === 'written') written = message.written;
    else void moment(message.tell).then(() => child.send('go'));
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (written === undefined) throw new Error(`the writer ended with ${code}`);
  return written;
}
