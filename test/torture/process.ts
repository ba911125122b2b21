/** Processes of the rack: each takes lines on stdin, says lines on stdout, and can be killed at any moment. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { alive } from '../shipper/scene.ts';

const KEPT_STDERR = 4000;

export class Process<Word> {
  readonly #child: ChildProcess;
  readonly ended: Promise<void>;
  #stderr = '';
  #killed = false;

  constructor(command: readonly [string, ...string[]], accessKey: string, hear: (word: Word) => void) {
    const [file, ...args] = command;
    const env = { ...process.env, AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: 'test' };
    this.#child = spawn(file, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stdin?.on('error', () => undefined); // the process may be killed while a script is written
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-KEPT_STDERR);
    });
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      let word: Word;
      try {
        word = JSON.parse(line) as Word;
      } catch {
        return; // the last line of a killed process
      }
      hear(word);
    });
    this.ended = once(this.#child, 'close').then(() => undefined);
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Why it ended, when nobody asked it to. */
  get failure(): string | undefined {
    const { exitCode, signalCode } = this.#child;
    if (this.running || this.#killed || exitCode === 0) return undefined;
    return `ended with ${signalCode ?? `code ${exitCode}`}: ${this.#stderr.trim()}`;
  }

  send(...lines: readonly unknown[]): void {
    this.#child.stdin?.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }

  /** Says that there is nothing more to do. */
  finish(): void {
    this.#child.stdin?.end();
  }

  /** Kills it; says whether it was alive until then. */
  kill(): boolean {
    if (!this.running) return false;
    this.#killed = true;
    return this.#child.kill('SIGKILL');
  }
}

/** Kills a helper, of which only the pid is known. A pid that went to another process meanwhile is left alone. */
export function killHelper(pid: number, accessKey: string): boolean {
  if (!isHelper(pid, accessKey)) return false;
  process.kill(pid, 'SIGKILL');
  return true;
}

export function isHelper(pid: number, accessKey: string): boolean {
  if (pid <= 1 || !alive(pid)) return false;
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`AWS_ACCESS_KEY_ID=${accessKey}\0`);
  } catch {
    return false;
  }
}
