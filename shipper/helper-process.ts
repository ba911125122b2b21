/** The handle's side of the helper process: starts it, asks it, hears its events, notices its end. */
import { fork, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SeawallError } from '../replica/errors.ts';
import { fromPlain } from './plain-error.ts';
import type { FromHelper, Request, ShipperEvent } from './protocol.ts';

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const KEPT_STDERR = 4096;
/** Most of what the helper allocates dies at once; a large young generation would only cost memory (some 100 MB). */
const HELPER_FLAGS = ['--max-semi-space-size=2'];

export class HelperProcess {
  readonly #child: ChildProcess;
  readonly #onEvent: (event: ShipperEvent) => void;
  readonly #pending = new Map<number, Pending>();
  readonly #exited: Promise<void>;
  #asked = 0;
  #stderr = '';
  #ended: SeawallError | undefined;

  constructor(onEvent: (event: ShipperEvent) => void, onExit: (error: SeawallError) => void) {
    this.#onEvent = onEvent;
    // The helper stands beside this module, as source or as built.
    const entry = fileURLToPath(new URL(`./helper/main${extname(import.meta.url)}`, import.meta.url));
    if (!existsSync(entry)) {
      throw new SeawallError(
        'local',
        'HELPER_MISSING',
        `${entry} is not there: a bundler left it out. Mark the package seawall as external to the bundle.`,
        { path: entry },
      );
    }
    // Detached, so that signals to the app's process group do not reach it; its output must not keep the app's open.
    this.#child = fork(entry, [], {
      detached: true,
      execArgv: HELPER_FLAGS,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-KEPT_STDERR);
    });
    this.#child.on('message', (message: FromHelper) => {
      this.#hear(message);
    });
    this.#child.on('error', (error) => {
      this.#end(error.message, onExit);
    });
    this.#exited = new Promise((resolve) => {
      this.#child.on('close', (code, signal) => {
        const output = this.#stderr.trim();
        this.#end(`ended with ${signal ?? `code ${code}`}${output === '' ? '' : `: ${output}`}`, onExit);
        resolve();
      });
    });
    this.#keepAlive();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Asks the helper and waits for its answer; the app's process stays alive meanwhile. */
  ask(request: Request): Promise<unknown> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const id = ++this.#asked;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#keepAlive();
      this.#child.send({ ...request, id }, (error) => {
        if (error !== null)
          this.#settle(id, (pending) => {
            pending.reject(this.#ended ?? error);
          });
      });
    });
  }

  /** Resolves when the process is gone. */
  async exited(): Promise<void> {
    this.#child.ref();
    await this.#exited;
  }

  #hear(message: FromHelper): void {
    switch (message.tell) {
      case 'event':
        this.#onEvent(message.event);
        break;
      case 'answer':
        this.#settle(message.id, (pending) => {
          pending.resolve(message.value);
        });
        break;
      case 'failure':
        this.#settle(message.id, (pending) => {
          pending.reject(fromPlain(message.error));
        });
        break;
    }
  }

  #settle(id: number, settle: (pending: Pending) => void): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    this.#keepAlive();
    settle(pending);
  }

  /**
   * The helper alone does not keep the app running; a question that waits for its answer does, until the answer or the
   * helper's end is known. Its end is told by the process and by its output, not by the channel alone.
   */
  #keepAlive(): void {
    const child = this.#child;
    const output = child.stderr as { ref?: () => void; unref?: () => void } | null;
    if (this.#pending.size > 0) {
      child.ref();
      child.channel?.ref();
      output?.ref?.();
    } else {
      child.unref();
      child.channel?.unref();
      output?.unref?.();
    }
  }

  #end(how: string, onExit: (error: SeawallError) => void): void {
    if (this.#ended !== undefined) return;
    this.#ended = new SeawallError('local', 'HELPER_ENDED', `the helper process ${how}`);
    for (const [, pending] of this.#pending) pending.reject(this.#ended);
    this.#pending.clear();
    onExit(this.#ended);
  }
}
