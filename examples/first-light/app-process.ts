/** The app as seen from outside: a process that is started, listened to, and killed. */
import { fork, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ShipperEvent } from 'seawall';
import { NOTHING, type Totals } from './journal.ts';
import type { Acknowledgement, FromApp, ToApp } from './messages.ts';

const APP = fileURLToPath(new URL('./app.ts', import.meta.url));

export interface Shipping {
  readonly helper: number;
  readonly totals: Totals;
}

export class AppProcess {
  readonly #child: ChildProcess;
  readonly #shipping = Promise.withResolvers<Shipping>();
  readonly #open = Promise.withResolvers<Totals>();
  readonly #exited: Promise<void>;
  readonly acknowledgements: Acknowledgement[] = [];
  /** The commits that the app has reported. */
  totals: Totals = NOTHING;
  segments = 0;
  /** The WAL index of the last segment. */
  index = 0;
  uploaded = 0;
  #killed = false;

  constructor(database: string, replica: string, places: number) {
    this.#child = fork(APP, [database, replica, String(places)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child.on('message', (message: FromApp) => {
      this.#hear(message);
    });
    this.#exited = new Promise((resolve) => {
      this.#child.on('exit', (code, signal) => {
        if (!this.#killed) this.#fail(new Error(`the app ended by itself, with ${signal ?? `code ${code}`}`));
        resolve();
      });
    });
    this.#child.on('error', (error) => {
      this.#fail(error);
    });
    for (const { promise } of [this.#shipping, this.#open]) promise.catch(() => undefined); // whoever awaits the promise gets the error
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves when `shipper.start()` has. */
  shipping(): Promise<Shipping> {
    return this.#shipping.promise;
  }

  /** Makes the app leave a transaction open. Resolves with what was committed before it. Rejects if the app ends. */
  open(): Promise<Totals> {
    this.#child.send({ ask: 'leave-open' } satisfies ToApp);
    return this.#open.promise;
  }

  async kill(): Promise<void> {
    this.#killed = true;
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** Throws if the app ended by itself. The message says why. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #failure: Error | undefined;

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#shipping.reject(error);
    this.#open.reject(error);
  }

  #hear(message: FromApp): void {
    switch (message.tell) {
      case 'shipping':
        this.totals = message.totals;
        this.#shipping.resolve(message);
        break;
      case 'committed':
        this.totals = message.totals;
        break;
      case 'acknowledged':
        this.acknowledgements.push(message.acknowledgement);
        break;
      case 'open':
        this.totals = message.totals;
        this.#open.resolve(message.totals);
        break;
      case 'event':
        this.#note(message.event);
        break;
    }
  }

  #note(event: ShipperEvent): void {
    if (event.type === 'problem') this.#fail(new Error(`the shipper: ${event.error.message}`));
    if (event.type !== 'segment') return;
    this.segments++;
    this.uploaded += event.bytes;
    this.index = Number.parseInt(event.position.split('/')[1] ?? '0', 16);
  }
}

/** Waits until a process that is not our child is gone. Throws after `limit` milliseconds. */
export async function ended(pid: number, limit: number): Promise<void> {
  const from = performance.now();
  while (isRunning(pid)) {
    if (performance.now() - from > limit) throw new Error(`process ${pid} still runs after ${limit} ms`);
    await sleep(20);
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    // In a container there may be no init process that reaps orphans: an ended one stays as a zombie.
    return !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return process.platform !== 'linux';
  }
}
