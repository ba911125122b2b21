/** Litestream as a reference, where a binary of it is named by the environment. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { S3Process } from './s3.ts';

export interface Litestream {
  readonly name: 'litestream-0.3' | 'litestream-0.5';
  readonly binary: string;
}

export function litestreams(): Litestream[] {
  const { LITESTREAM_03, LITESTREAM_05 } = process.env;
  const named: [Litestream['name'], string | undefined][] = [
    ['litestream-0.3', LITESTREAM_03],
    ['litestream-0.5', LITESTREAM_05],
  ];
  return named.flatMap(([name, binary]) => (binary === undefined || binary === '' ? [] : [{ name, binary }]));
}

const ENVIRONMENT = { ...process.env, AWS_ACCESS_KEY_ID: 'bench', AWS_SECRET_ACCESS_KEY: 'bench-secret' };

/** Replicates a database with default settings until it is stopped. */
export class Sidecar {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves when it has had time for its first snapshot. */
  static async start({ binary }: Litestream, config: string): Promise<Sidecar> {
    const child = spawn(binary, ['replicate', '-config', config], { stdio: 'ignore', env: ENVIRONMENT });
    await sleep(2500);
    if (child.exitCode !== null) throw new Error(`${binary} ended with ${child.exitCode}`);
    return new Sidecar(child);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill('SIGTERM');
    await once(this.#child, 'exit');
  }
}

/** A configuration both lines read. */
export function configuration(database: string, server: S3Process, prefix: string): string {
  return `dbs:
  - path: ${database}
    replicas:
      - type: s3
        bucket: b
        path: ${prefix}
        endpoint: ${server.endpoint}
        region: us-east-1
        force-path-style: true
`;
}

/** Restores a replica; answers milliseconds. */
export async function litestreamRestore(
  { binary }: Litestream,
  config: string,
  database: string,
  output: string,
): Promise<number> {
  const began = performance.now();
  const child = spawn(binary, ['restore', '-config', config, '-o', output, database], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: ENVIRONMENT,
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${binary} restore ended with ${code}`);
  return performance.now() - began;
}
