/** Real Litestream programs, and the places they and Seawall share. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import assert from 'node:assert/strict';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';

const run = promisify(execFile);
const { LITESTREAM_03 = '', LITESTREAM_05 = '', SEAWALL_TEST_S3: endpoint = '' } = process.env;
const { SEAWALL_TEST_S3_BUCKET: bucket = 'seawall', AWS_REGION: region = 'us-east-1' } = process.env;

/** Litestream 0.5 does not start where a bundle of certificates is named for the AWS SDK. */
const ENVIRONMENT = Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'AWS_CA_BUNDLE'));

/** Where a replica lies, as both programs name it. */
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

  /** Restores what `place` holds of the database `path` into `output`. */
  async restore(place: Place, path: string, output: string, ...flags: readonly string[]): Promise<Outcome> {
    const config = this.configure(place, path, {});
    const args = ['restore', '-config', config, '-o', output, ...flags, path];
    try {
      const { stdout, stderr } = await run(this.#binary, args, { timeout: 60_000, env: ENVIRONMENT });
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
    await ended;
  }
}

const LITESTREAM_3 = LITESTREAM_03 === '' ? undefined : new Litestream('0.3', LITESTREAM_03);
const LITESTREAM_5 = LITESTREAM_05 === '' ? undefined : new Litestream('0.5', LITESTREAM_05);

/** Defines a test for each named program and each kind of place; one that says so where none is named. */
export function withLitestream(
  versions: readonly Litestream['version'][],
  name: string,
  body: (litestream: Litestream, placeIn: (folder: string) => Promise<Place>) => Promise<void>,
  where: 'everywhere' | 'folder' = 'everywhere',
): void {
  for (const version of versions) {
    const litestream = version === '0.3' ? LITESTREAM_3 : LITESTREAM_5;
    if (litestream === undefined) {
      const variable = `LITESTREAM_${version.replace('.', '')}`;
      test(`Litestream ${version} is not here: name its binary in ${variable} to see that ${name}`, () => {
        assert.equal(process.env[variable] ?? '', '');
      });
      continue;
    }
    test(`Litestream ${version}, folder: ${name}`, () => body(litestream, folderIn));
    if (endpoint !== '' && where === 'everywhere')
      test(`Litestream ${version}, S3: ${name}`, () => body(litestream, bucketPrefix));
  }
}

function folderIn(folder: string): Promise<Place> {
  const path = join(folder, 'replica');
  mkdirSync(path, { recursive: true });
  return Promise.resolve({ kind: 'folder', url: path, settings: ['type: file', `path: ${path}`] });
}

async function bucketPrefix(): Promise<Place> {
  const client = new S3Client({ endpoint, region, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket })).catch((error: unknown) => {
    if (!(error instanceof Error && error.name.includes('BucketAlready'))) throw error;
  });
  client.destroy();
  const prefix = `interop/${randomUUID()}`;
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
