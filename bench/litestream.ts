/** Litestream as a reference, if the environment names a binary of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Litestream, placeOnS3, type Place, type Sidecar } from '../test/interop/litestream.ts';
import type { S3Process } from './s3.ts';

process.env['AWS_ACCESS_KEY_ID'] ??= 'bench';
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'bench-secret';

export function litestreams(): Litestream[] {
  return (['0.3', '0.5'] as const).flatMap((version) => Litestream.named(version) ?? []);
}

export function placeOn(server: S3Process, prefix: string): Place {
  return placeOnS3(server.endpoint, 'us-east-1', 'b', prefix);
}

/** Replicates a database with default settings; resolves when it has had time for its first snapshot. */
export async function startSidecar(litestream: Litestream, place: Place, database: string): Promise<Sidecar> {
  const sidecar = litestream.replicate(place, database);
  await sleep(2500);
  if (sidecar.process.exitCode !== null) throw new Error(`${litestream.name} ended: ${sidecar.said}`);
  return sidecar;
}

/** Restores a replica; returns the milliseconds it took. */
export async function litestreamRestore(
  litestream: Litestream,
  place: Place,
  database: string,
  output: string,
): Promise<number> {
  const began = performance.now();
  const { ok, said } = await litestream.restoreWithin(600_000, place, database, output);
  if (!ok) throw new Error(`${litestream.name} did not restore: ${said}`);
  return performance.now() - began;
}
