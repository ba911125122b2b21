/**
 * One execution environment of a function: its bundle alone in a folder, its settings from the template, run by AWS's
 * own runtime client, whose index.mjs SEAWALL_LAMBDA_RUNTIME names (`.ci/with-lambda-runtime` installs it).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { RuntimeApi, type Outcome } from './runtime-api.ts';

export interface FunctionSetup {
  readonly name: string;
  /** Folder with the code. */
  readonly bundle: string;
  /** `index.handler` */
  readonly handler: string;
  /** MiB. */
  readonly memorySize: number;
  /** What the template sets, and where the servers are. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** How long an environment had to wait, milliseconds. */
const PATIENCE = 120_000;

export class LambdaFunction implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #api: RuntimeApi;
  readonly #folder: string;
  readonly #lines: readonly string[];
  /** Milliseconds from the start of the process until it asked for its first invocation. */
  readonly coldStart: number;

  private constructor(parts: {
    readonly process: ChildProcess;
    readonly ended: Promise<unknown>;
    readonly api: RuntimeApi;
    readonly folder: string;
    readonly lines: readonly string[];
    readonly coldStart: number;
  }) {
    this.#process = parts.process;
    this.#ended = parts.ended;
    this.#api = parts.api;
    this.#folder = parts.folder;
    this.#lines = parts.lines;
    this.coldStart = parts.coldStart;
  }

  /** @throws the failure that the function's code reported when it was loaded, as an Error of that name */
  static async start(setup: FunctionSetup): Promise<LambdaFunction> {
    const api = await RuntimeApi.start();
    const folder = mkdtempSync(join(tmpdir(), `seawall-lambda-${setup.name}-`));
    const [task, temporary] = [join(folder, 'task'), join(folder, 'tmp')];
    cpSync(setup.bundle, task, { recursive: true });
    mkdirSync(temporary);
    const began = performance.now();
    const child = spawn(process.execPath, [runtime(), setup.handler], {
      cwd: task,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        TMPDIR: temporary,
        LAMBDA_TASK_ROOT: task,
        _HANDLER: setup.handler,
        AWS_LAMBDA_RUNTIME_API: api.address,
        AWS_LAMBDA_FUNCTION_NAME: setup.name,
        AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(setup.memorySize),
        AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${setup.name}`,
        AWS_LAMBDA_LOG_STREAM_NAME: 'test',
        AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
        AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
        AWS_REGION: 'eu-central-1',
        ...setup.environment,
      },
    });
    const lines: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => lines.push(line));
    }
    const ended = once(child, 'close');
    const silent = ended.then(() => ({ errorType: 'Runtime.ExitError', errorMessage: lines.join('\n') }));
    const how = await Promise.race([api.begun, silent]);
    const coldStart = performance.now() - began;
    const started = new LambdaFunction({ process: child, ended, api, folder, lines, coldStart });
    if (how === 'ready') return started;
    await started[Symbol.asyncDispose]();
    throw Object.assign(new Error(how.errorMessage), { name: how.errorType });
  }

  /**
   * Invokes it. Without an answer in time it is ended, as Lambda would; that, and its own end, fail the invocation.
   *
   * @param timeout milliseconds
   */
  async invoke(event: unknown, timeout = PATIENCE): Promise<Outcome> {
    const timer = setTimeout(() => void this.kill(), timeout);
    const ended = this.#ended.then((): Outcome => ({
      kind: 'failed',
      type: 'Runtime.ExitError',
      message: 'the environment ended',
    }));
    try {
      return await Promise.race([this.#api.invoke(event, timeout), ended]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What the function wrote, one object a line; the runtime client's own lines are text, and passed over. */
  get log(): readonly Record<string, unknown>[] {
    const lines = this.#lines.filter((line) => line.startsWith('{'));
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** Files left in its temporary folder. */
  get leftovers(): string[] {
    return readdirSync(join(this.#folder, 'tmp'));
  }

  /** The most memory that the process ever held, MiB; undefined where the system does not tell. */
  get peakMemory(): number | undefined {
    if (process.platform !== 'linux') return undefined;
    const status = readFileSync(`/proc/${String(this.#process.pid)}/status`, 'utf8');
    return Math.round(Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) / 1024);
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.#api[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function runtime(): string {
  const path = process.env['SEAWALL_LAMBDA_RUNTIME'];
  if (path !== undefined && path !== '') return path;
  throw new Error('SEAWALL_LAMBDA_RUNTIME is not set; run this as: .ci/with-lambda-runtime npm run test:lambda');
}
