/**
 * One start of a shipper, until its stop, across as many helper processes as it takes.
 *
 * A new helper takes the state lock that the end of the dead one released, goes on under the same owner, and ships the
 * difference. Questions that had no answer are asked again, so `sync()` keeps its promise across helpers. The owner is
 * the same only while the claim says so: a replica that was taken over in the meantime is not taken back, and the
 * shipper is `fenced`.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeawallError } from '../replica/terms/errors.ts';
import { backoffDelay } from '../replica/runtime/retry.ts';
import { closedError } from './closed-error.ts';
import type { HelperSupervisor, HelperClient } from './helper-supervisor.ts';
import { HelperEnded } from './helper-process.ts';
import type { Settings } from './options.ts';
import { toPlain } from './plain-error.ts';
import type { PlainError, Request, ShipperEvent, ShipperState, ShipperStatus } from './protocol.ts';

/** Helpers that may end during one start before it is given up. */
const START_TRIES = 3;
/** Between two tries of a new helper to take the database up again. */
const BACKOFF = { baseMs: 250, capMs: 30_000 };

/** Refusals that waiting does not mend: another shipper has the database, or the library must not be used. */
const FINAL: ReadonlySet<string> = new Set(['ALREADY_SHIPPED', 'SQLITE_WAL_RESET_BUG']);

/**
 * - `starting`: the first helper has not answered yet
 * - `attached`: a helper has the database in its hands, whatever state it is in
 * - `restarting`: the helper ended; the next one has not taken the database up yet
 * - `over`: no helper will
 */
type Phase = 'starting' | 'attached' | 'restarting' | 'over';

export class SupervisedShipment implements HelperClient {
  readonly #supervisor: HelperSupervisor;
  readonly #settings: Settings;
  readonly #tell: (event: ShipperEvent) => void;
  readonly #owner = randomBytes(12).toString('hex');
  #number = 0;
  #phase: Phase = 'starting';
  #state: ShipperState = 'starting';
  #problem: PlainError | undefined;
  /** Everything committed until then was in the replica when a helper last told; steady milliseconds. */
  #shippedUpTo: number | undefined;
  /** Settles when a helper is attached or none will be. */
  #attached = deferred();
  #helperStarted = deferred();
  /** Counts helpers, so that what was begun with one is not gone on with by another. */
  #era = 0;
  #ended: { readonly how: string; readonly attempt: number } | undefined;
  #stopping = false;
  #left: Promise<void> | undefined;

  constructor(supervisor: HelperSupervisor, settings: Settings, tell: (event: ShipperEvent) => void) {
    this.#supervisor = supervisor;
    this.#settings = settings;
    this.#tell = tell;
  }

  /** Resolves when the first helper ships; rejects with what stands in its way, and then nothing is kept. */
  async start(): Promise<void> {
    try {
      this.#number = this.#supervisor.add(this);
      await this.#firstHelper();
    } catch (error) {
      const reason = this.#stopping ? closedError('stopped', undefined) : error;
      this.#phase = 'over';
      this.#attached.reject(reason);
      await this.#leave();
      throw reason;
    }
    this.#attach();
  }

  /** Asks for as long as it takes to get an answer: of the next helper, where one ends before. */
  async ask(request: Request): Promise<unknown> {
    for (;;) {
      await this.#supervisor.alive(this.#attached.promise);
      try {
        return await this.#supervisor.ask(this.#number, request);
      } catch (error) {
        if (!(error instanceof HelperEnded) || this.#stopping) throw error;
      }
    }
  }

  async status(): Promise<ShipperStatus> {
    if (this.#phase === 'attached' || this.#phase === 'starting') {
      try {
        const status = (await this.#supervisor.ask(this.#number, { ask: 'status' })) as ShipperStatus;
        if (status.lag !== undefined) this.#shippedUpTo = performance.now() - status.lag;
        return status;
      } catch (error) {
        if (!(error instanceof HelperEnded) && this.#phase === 'attached') throw error;
      }
    }
    const { database, replica } = this.#settings;
    const pid = this.#supervisor.pid;
    return {
      state: this.#state,
      database,
      replica,
      behind: true,
      ...(this.#shippedUpTo !== undefined && { lag: performance.now() - this.#shippedUpTo }),
      staged: 0,
      ...(this.#problem && { problem: this.#problem }),
      segments: 0,
      snapshots: 0,
      bytes: 0,
      ...(pid !== undefined && { pid }),
    };
  }

  /** Ships what is committed and ends; where the helper is gone, the next one is started at once for that. */
  async stop(): Promise<void> {
    this.#stopping = true;
    try {
      if (this.#phase === 'restarting') {
        this.#supervisor.hurry();
        await this.#supervisor.alive(this.#attached.promise);
      }
      if (this.#phase !== 'over') await this.#supervisor.ask(this.#number, { ask: 'stop' });
    } finally {
      this.#phase = 'over';
      this.#attached.reject(closedError('stopped', undefined));
      await this.#leave();
    }
  }

  hear(event: ShipperEvent): void {
    if (event.type === 'problem') this.#problem = event.error;
    if (event.type === 'recovered') this.#problem = undefined;
    if (event.type === 'state') this.#enter(event.state);
    else this.#tell(event);
  }

  helperEnded(error: HelperEnded, attempt: number, delay: number): void {
    this.#era++;
    if (this.#phase === 'starting' || this.#phase === 'over') return;
    if (this.#state === 'fenced' || this.#state === 'failed') {
      // What ended the shipping has not passed. Above all, a replica that was taken over is not taken back.
      this.#end(closedError(this.#state, this.#problem));
      return;
    }
    if (this.#stopping) {
      this.#end(error);
      return;
    }
    if (this.#phase === 'attached') this.#attached = deferred();
    this.#phase = 'restarting';
    this.#ended = { how: error.how, attempt };
    this.#enter('restarting');
    this.#complain(error, attempt);
    this.#tell({ type: 'helper', change: 'ended', ...this.#ended, delay });
  }

  helperStarted(): void {
    this.#helperStarted.resolve(undefined);
    this.#helperStarted = deferred();
    if (this.#phase === 'restarting') void this.#takeUpAgain();
  }

  async #firstHelper(): Promise<void> {
    for (let tries = 1; ; tries++) {
      const next = this.#helperStarted.promise;
      try {
        await this.#askStart(false);
        return;
      } catch (error) {
        if (!(error instanceof HelperEnded) || tries === START_TRIES || this.#stopping) throw error;
        await this.#supervisor.alive(next);
      }
    }
  }

  /** Hands the database to the new helper, until it takes it or says why it never will. */
  async #takeUpAgain(): Promise<void> {
    const era = ++this.#era;
    for (let failures = 1; era === this.#era && this.#phase === 'restarting'; failures++) {
      try {
        await this.#askStart(true);
        if (era === this.#era) this.#attachAgain();
        return;
      } catch (error) {
        if (error instanceof HelperEnded) return; // the supervisor tells of it
        if (!mayPass(error) || this.#stopping) {
          this.#giveUp(error);
          return;
        }
        this.#enter('waiting');
        this.#complain(error, failures);
        await sleep(backoffDelay(failures, BACKOFF, Math.random), undefined, { ref: false });
      }
    }
  }

  #askStart(isRestart: boolean): Promise<unknown> {
    return this.#supervisor.ask(this.#number, {
      ask: 'start',
      settings: this.#settings,
      owner: this.#owner,
      isRestart,
    });
  }

  #attach(): void {
    this.#phase = 'attached';
    this.#attached.resolve(undefined);
  }

  #attachAgain(): void {
    this.#attach();
    const pid = this.#supervisor.pid;
    if (this.#ended === undefined || pid === undefined) return;
    this.#tell({ type: 'helper', change: 'restarted', ...this.#ended, pid });
    this.#ended = undefined;
  }

  #giveUp(error: unknown): void {
    this.#problem = toPlain(error);
    this.#enter(this.#problem.code === 'FENCED' ? 'fenced' : 'failed');
    this.#complain(error, 1);
    this.#end(this.#stopping ? error : closedError(this.#state, this.#problem));
  }

  #complain(error: unknown, failures: number): void {
    this.#problem = toPlain(error);
    this.#tell({ type: 'problem', error: this.#problem, failures });
  }

  #end(reason: unknown): void {
    if (this.#phase === 'attached') this.#attached = deferred();
    this.#phase = 'over';
    this.#attached.reject(reason);
    void this.#leave();
  }

  #leave(): Promise<void> {
    this.#left ??= this.#supervisor.leave(this.#number);
    return this.#left;
  }

  #enter(state: ShipperState): void {
    const before = this.#state;
    if (state === before) return;
    this.#state = state;
    this.#tell({ type: 'state', state, before });
  }
}

/** Whether a new helper may yet succeed where one failed: as a running one does, it waits for its database. */
function mayPass(error: unknown): boolean {
  if (!(error instanceof SeawallError)) return false;
  return error.kind === 'local' || error.kind === 'missing' || (error.kind === 'refused' && !FINAL.has(error.code));
}

function deferred(): PromiseWithResolvers<undefined> {
  const made = Promise.withResolvers<undefined>();
  made.promise.catch(() => undefined); // nobody may be waiting
  return made;
}
