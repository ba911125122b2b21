/** The handle an app holds: starts the helper process, asks it, and hears what happens. */
import { EventEmitter } from 'node:events';
import { SeawallError } from '../replica/errors.ts';
import { HelperProcess } from './helper-process.ts';
import { settle, type Settings, type ShipperOptions } from './options.ts';
import { toPlain } from './plain-error.ts';
import type { ShipperEvent, ShipperStatus, Synced } from './protocol.ts';

type EventOf<T extends ShipperEvent['type']> = Extract<ShipperEvent, { readonly type: T }>;

export type ShipperEvents = {
  readonly [T in ShipperEvent['type']]: [event: EventOf<T>];
} & {
  /** Every event, of every type. */
  readonly event: [event: ShipperEvent];
};

/**
 * Keeps one SQLite database backed up while the app runs.
 *
 * ```ts
 * const shipper = new Shipper({ database: 'app.db', replica: 's3://bucket/app' });
 * await shipper.start();
 * ```
 *
 * All work happens in a helper process, whatever SQLite library the app uses. If the app dies, the helper ships what
 * was committed and ends.
 */
export class Shipper extends EventEmitter<ShipperEvents> {
  readonly #settings: Settings;
  #helper: HelperProcess | undefined;
  #stopping: Promise<void> | undefined;

  /** Throws a TypeError or RangeError that names the option when one is wrong; touches nothing yet. */
  constructor(options: ShipperOptions) {
    super();
    this.#settings = settle(options);
  }

  /** Process id of the helper, while it runs. */
  get pid(): number | undefined {
    return this.#helper?.pid;
  }

  /**
   * Starts shipping. Resolves when the database is safe in the replica as it is now; with `restore: 'if-missing'`,
   * after a missing database was restored, so open the database after this.
   *
   * Rejects when the database cannot be followed (`refused`, `local`, `missing`) or the store cannot be used
   * (`denied`, `unreachable`); nothing runs then.
   */
  async start(): Promise<void> {
    if (this.#helper !== undefined) throw new SeawallError('refused', 'STARTED', 'the shipper has started already');
    const helper = new HelperProcess(
      (event) => {
        this.#tell(event);
      },
      (error) => {
        if (this.#helper !== helper) return;
        this.#helper = undefined;
        if (this.#stopping === undefined) this.#tell({ type: 'problem', error: toPlain(error), failures: 1 });
      },
    );
    this.#helper = helper;
    this.#stopping = undefined;
    try {
      await helper.ask({ ask: 'start', settings: this.#settings });
    } catch (error) {
      await this.stop().catch(() => undefined);
      throw error;
    }
  }

  /**
   * Resolves when everything that any connection of any process committed before the call is in the replica.
   * Waits out an outage of the store; rejects when shipping ends before (fenced, failed, stopped).
   */
  async sync(): Promise<Synced> {
    return (await this.#need().ask({ ask: 'sync' })) as Synced;
  }

  /** Makes a snapshot now, and answers its key. Compaction does this from the bucket; apps seldom need it. */
  async snapshot(): Promise<string> {
    return (await this.#need().ask({ ask: 'snapshot' })) as string;
  }

  async status(): Promise<ShipperStatus> {
    return (await this.#need().ask({ ask: 'status' })) as ShipperStatus;
  }

  /**
   * Ships what is committed and ends the helper. Rejects (`unreachable`, STOP_TIMEOUT) when the store did not take it
   * in `stopTimeout`; nothing is lost then, the next start ships it.
   */
  async stop(): Promise<void> {
    const helper = this.#helper;
    if (helper === undefined) return this.#stopping;
    this.#stopping ??= (async () => {
      try {
        await helper.ask({ ask: 'stop' });
      } finally {
        await helper.exited();
        this.#helper = undefined;
      }
    })();
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #need(): HelperProcess {
    if (this.#helper !== undefined) return this.#helper;
    throw new SeawallError('refused', 'NOT_STARTED', 'the shipper is not running; await start() first');
  }

  #tell(event: ShipperEvent): void {
    const emit = this.emit.bind(this) as (name: string, event: ShipperEvent) => boolean;
    emit(event.type, event);
    emit('event', event);
  }
}
