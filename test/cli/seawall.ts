/** Runs `seawall` as people do: as a process of its own. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

/** Node keeps what it compiled here: each of the many processes starts in a third of the time. */
export const COMPILED = fileURLToPath(new URL('../../node_modules/.cache/seawall-test', import.meta.url));

export type Json = Record<string, unknown>;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** A `seawall` that runs; its output is collected. */
export class Running implements AsyncDisposable {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly #closed: Promise<unknown>;

  constructor(args: readonly string[], { cwd, env }: RunOptions = {}) {
    this.child = spawn(process.execPath, [MAIN, ...args], {
      cwd,
      env: { ...process.env, NODE_COMPILE_CACHE: COMPILED, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.#closed = once(this.child, 'close');
  }

  async ended(): Promise<Ended> {
    await this.#closed;
    const { exitCode, signalCode } = this.child;
    return { code: exitCode, signal: signalCode, stdout: this.stdout, stderr: this.stderr };
  }

  /** Waits for a line on stdout; fails when the process ends without it. */
  async line(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = this.stdout.split('\n').find((line) => pattern.test(line));
      if (found !== undefined) return found;
      const ended = await Promise.race([this.#closed, once(this.child.stdout!, 'data').then(() => undefined)]);
      if (ended !== undefined && !this.stdout.split('\n').some((line) => pattern.test(line))) {
        assert.fail(`no line ${pattern} before the end; stdout: ${this.stdout}; stderr: ${this.stderr}`);
      }
    }
  }

  /** The JSON lines so far. */
  events(): Json[] {
    return this.stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Json);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
    await this.#closed;
  }
}

export async function seawall(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  await using running = new Running(args, options);
  return await running.ended();
}

/** Runs with --json; holds it to one document, nothing on stderr, and the exit code. */
export async function seawallJson(args: readonly string[], code: number, options: RunOptions = {}): Promise<Json> {
  const ended = await seawall([...args, '--json'], options);
  assert.equal(ended.code, code, `${args.join(' ')}: ${ended.stdout}${ended.stderr}`);
  assert.equal(ended.stderr, '');
  assert.match(ended.stdout, /^\{.*\}\n$/);
  return JSON.parse(ended.stdout) as Json;
}

/** The `error` of a JSON document. */
export function errorOf(document: Json): Json {
  assert.deepEqual(Object.keys(document), ['error']);
  return document['error'] as Json;
}
