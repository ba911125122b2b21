/** Real Litestream programs, and the places they and Seawall share. */
import assert from 'node:assert/strict';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Litestream 0.5 does not start if the environment names a bundle of certificates for the AWS SDK. */
const ENVIRONMENT = Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'AWS_CA_BUNDLE'));

/** The place of a replica, as both programs name it. */
export interface Place {
  readonly kind: 'folder' | 'S3';
  /** For `openStore` and the shipper. */
  readonly url: string;
  /** Lines of a Litestream replica's configuration. */
  readonly settings: readonly string[];
}

export interface Outcome {
  readonly ok: boolean;
  /** What it printed, for messages. */
  readonly said: string;
}

export class Litestream {
  readonly version: '0.3' | '0.5';
  readonly #binary: string;

  constructor(version: '0.3' | '0.5', binary: string) {
    this.version = version;
    this.#binary = binary;
  }

  /** The one whose binary the environment names: LITESTREAM_03 or LITESTREAM_05. */
  static named(version: '0.3' | '0.5'): Litestream | undefined {
    const binary = process.env[variableOf(version)] ?? '';
    return binary === '' ? undefined : new Litestream(version, binary);
  }

  get name(): 'litestream-0.3' | 'litestream-0.5' {
    return `litestream-${this.version}`;
  }

  /** Restores what `place` holds of the database `path` into `output`, within a minute. */
  restore(place: Place, path: string, output: string, ...flags: readonly string[]): Promise<Outcome> {
    return this.restoreWithin(60_000, place, path, output, ...flags);
  }

  async restoreWithin(
    timeout: number,
    place: Place,
    path: string,
    output: string,
    ...flags: readonly string[]
  ): Promise<Outcome> {
    const config = this.configure(place, path, {});
    const args = ['restore', '-config', config, '-o', output, ...flags, path];
    try {
      const { stdout, stderr } = await run(this.#binary, args, { timeout, env: ENVIRONMENT });
      return { ok: true, said: stdout + stderr };
    } catch (error) {
      const { stdout, stderr, killed } = error as { stdout: string; stderr: string; killed: boolean };
      assert.equal(killed, false, `litestream did not end: ${stdout}${stderr}`);
      return { ok: false, said: stdout + stderr };
    }
  }

  /** Starts it as a sidecar of a database. */
  replicate(place: Place, path: string, settings: LitestreamSettings = {}): Sidecar {
    const config = this.configure(place, path, settings);
    return new Sidecar(
      spawn(this.#binary, ['replicate', '-config', config], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: ENVIRONMENT,
      }),
    );
  }

  configure(place: Place, path: string, { top = [], database = [], replica = [] }: LitestreamSettings): string {
    const config = `${path}.litestream-${this.version}-${randomUUID()}.yml`;
    const lines = [
      ...top,
      'dbs:',
      `  - path: ${path}`,
      ...database.map((line) => `    ${line}`),
      '    replicas:',
      ...[...place.settings, ...replica].map((line, at) => `${at === 0 ? '      - ' : '        '}${line}`),
    ];
    writeFileSync(config, `${lines.join('\n')}\n`);
    return config;
  }
}

/** Lines of its configuration, at three levels. */
export interface LitestreamSettings {
  readonly top?: readonly string[];
  readonly database?: readonly string[];
  readonly replica?: readonly string[];
}

/** Milliseconds that it gets to end by itself. */
const MOST_TO_END = 60_000;

/** A running `litestream replicate`. */
export class Sidecar implements AsyncDisposable {
  readonly process: ChildProcess;
  said = '';

  constructor(process: ChildProcess) {
    this.process = process;
    for (const stream of [process.stdout, process.stderr]) {
      stream?.on('data', (bytes: Buffer) => (this.said += bytes.toString()));
    }
  }

  /** Lets it ship the rest and end. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end('SIGKILL');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = once(this.process, 'exit');
    this.process.kill(signal);
    // 0.3 was seen to wait without end, with hundreds of MiB of WAL to ship.
    const enough = setTimeout(() => this.process.kill('SIGKILL'), MOST_TO_END);
    await ended;
    clearTimeout(enough);
  }
}

/** The environment's variable that names the binary of a version. */
export function variableOf(version: Litestream['version']): string {
  return `LITESTREAM_${version.replace('.', '')}`;
}

/** A prefix of a bucket on a server that is addressed by path, with the credentials of the environment. */
export function placeOnS3(endpoint: string, region: string, bucket: string, prefix: string): Place {
  return {
    kind: 'S3',
    url: `s3://${bucket}/${prefix}?region=${region}&endpoint=${encodeURIComponent(endpoint)}`,
    settings: [
      'type: s3',
      `bucket: ${bucket}`,
      `path: ${prefix}`,
      `endpoint: ${endpoint}`,
      `region: ${region}`,
      'force-path-style: true',
      `access-key-id: ${process.env['AWS_ACCESS_KEY_ID'] ?? ''}`,
      `secret-access-key: ${process.env['AWS_SECRET_ACCESS_KEY'] ?? ''}`,
    ],
  };
}

export function placeInFolder(path: string): Place {
  return { kind: 'folder', url: path, settings: ['type: file', `path: ${path}`] };
}
