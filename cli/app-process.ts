/** The app that `seawall ship --exec` starts after the restore, and ends with. */
import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import type { EndSignal } from './interruption.ts';

export class AppProcess {
  readonly #child: ChildProcess;
  /** The exit code to end with, once the app has ended: its own, or 128 plus the number of the signal that ended it. */
  readonly ended: Promise<number>;

  /** Starts a command by the shell, with this process's input and output. */
  constructor(command: string) {
    // `exec`, so that signals reach the app and not a shell around it.
    this.#child = spawn('/bin/sh', ['-c', `exec ${command}`], { stdio: 'inherit' });
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('exit', (code, signal) => {
        resolve(code ?? 128 + constants.signals[signal!]);
      });
    });
    this.ended.catch(() => undefined); // told by whoever waits for it
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Passes a signal on. A Ctrl-C at a terminal has reached the app already. */
  pass(signal: EndSignal): void {
    if (this.running && !(signal === 'SIGINT' && process.stdin.isTTY)) this.#child.kill(signal);
  }
}
