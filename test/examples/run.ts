/** Runs an example as a user would, but on the sources of this repository, so that no stale build is tested. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const ROOT = new URL('../../', import.meta.url);
const FROM_SOURCE = new URL('./from-source.ts', import.meta.url).href;

export interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Running {
  readonly pid: number;
  /** Resolves when the process has ended. */
  readonly ended: Promise<Run>;
  /** Resolves when it has printed this, or has ended. */
  printed(text: string | RegExp): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

/** @param example path below `examples/` */
export function startExample(example: string, args: readonly string[], folder: string): Running {
  const file = fileURLToPath(new URL(`examples/${example}`, ROOT));
  return start(process.execPath, ['--import', FROM_SOURCE, file, ...args], folder);
}

export function start(command: string, args: readonly string[], folder: string): Running {
  const child = spawn(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, out, err }));
  return {
    pid: child.pid ?? 0,
    ended,
    printed: (text) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (typeof text === 'string' ? out.includes(text) : text.test(out)) resolve();
        };
        child.stdout.on('data', look);
        child.once('close', () => {
          resolve();
        });
        look();
      }),
    kill: (signal) => child.kill(signal),
  };
}
