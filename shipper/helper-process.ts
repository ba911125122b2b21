/** One helper process as the app sees it: starts it, sends it requests, receives its events and notices its end. */
import { fork, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SeawallError } from '../replica/terms/errors.ts';
import { fromPlain } from './plain-error.ts';
import type { FromHelper, Request, ShipperEvent } from './protocol.ts';

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** The helper ended before it answered. */
export class HelperEnded extends SeawallError {
  /** Such as 'ended with SIGKILL'. */
  readonly how: string;
  constructor(how: string) {
    super('local', 'HELPER_ENDED', `the helper process ${how}`);
    this.how = how;
  }
}

const KEPT_STDERR = 4096;
/**
 * Most of what the helper allocates becomes garbage at once. A large young generation would only cost memory (some
 * 100 MB), and so would late collection (some 25 MB with 100 databases).
 */
const HELPER_FLAGS = ['--max-semi-space-size=2', '--optimize-for-size'];

export class HelperProcess {
  readonly #child: ChildProcess;
  readonly #onEvent: (shipment: number, event: ShipperEvent) => void;
  readonly #pending = new Map<number, Pending>();
  readonly #exited: Promise<void>;
  #asked = 0;
  #stderr = '';
  #ending = false;
  #ended: HelperEnded | undefined;

  /**
   * `onExit` is called once, when the process is gone. Nothing else counts as its end: a helper that is stopped or slow
   * still holds the database, and two helpers must never hold it.
   */
  constructor(onEvent: (shipment: number, event: ShipperEvent) => void, onExit: (error: HelperEnded) => void) {
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
    this.#exited = new Promise((resolve) => {
      const end = (how: string): void => {
        this.#end(how, onExit);
        resolve();
      };
      this.#child.on('error', (error) => {
        if (this.#child.pid === undefined) end(`could not be started: ${error.message}`);
      });
      // Not at 'close', which does not come after a disconnect from this side.
      this.#child.on('exit', (code, signal) => {
        const gone = (): void => {
          const output = this.#stderr.trim();
          end(`ended with ${signal ?? `code ${code}`}${output === '' ? '' : `: ${output}`}`);
        };
        const { stderr } = this.#child;
        if (stderr === null || stderr.closed) gone();
        else stderr.once('close', gone);
      });
    });
    this.#keepAlive();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /**
   * Asks the helper and waits for its answer; the app's process stays alive meanwhile. Rejects with {@link
   * HelperEnded}.
   */
  ask(shipment: number, request: Request): Promise<unknown> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const id = ++this.#asked;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#keepAlive();
      // If the request cannot be sent, the end of the process rejects it.
      if (this.#child.connected) this.#child.send({ ...request, id, shipment }, () => undefined);
    });
  }

  /** Lets the helper end once it has shipped what was committed; resolves when it is gone. */
  async end(): Promise<void> {
    this.#ending = true;
    this.#keepAlive();
    if (this.#child.connected) this.#child.disconnect();
    await this.#exited;
  }

  #hear(message: FromHelper): void {
    switch (message.tell) {
      case 'event':
        this.#onEvent(message.shipment, message.event);
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
   * The helper alone does not keep the app running. A request that waits for its answer does, and so does waiting for
   * the end.
   */
  #keepAlive(): void {
    const { channel, stderr } = this.#child;
    // Node reports the end of the process after the end of its channel and output.
    const handles = [this.#child, channel, stderr as { ref?: () => void; unref?: () => void } | null];
    for (const handle of handles) {
      if (this.#pending.size > 0 || this.#ending) handle?.ref?.();
      else handle?.unref?.();
    }
  }

  #end(how: string, onExit: (error: HelperEnded) => void): void {
    if (this.#ended !== undefined) return;
    this.#ended = new HelperEnded(how);
    for (const [, pending] of this.#pending) pending.reject(this.#ended);
    this.#pending.clear();
    onExit(this.#ended);
  }
}
