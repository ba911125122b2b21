/** An app's handle on one database that is shipped. */
import { EventEmitter } from 'node:events';
import { SeawallError } from '../replica/terms/errors.ts';
import { DefaultWarnings } from './default-warnings.ts';
import { HelperSupervisor } from './helper-supervisor.ts';
import { SupervisedShipment } from './supervised-shipment.ts';
import { settle, type Settings, type ShipperOptions } from './options.ts';
import { HealthRecord, judge, type Finding, type Health, type HealthReason } from './health.ts';
import { stopOnSignals, type StopOnSignalsOptions } from './stop-on-signals.ts';
import { parseDuration } from '../replica/terms/units.ts';
import type { ShipperEvent, ShipperStatus, Synced } from './protocol.ts';

/** The listeners of a {@link Shipper}: one name for each type of event, and `event` for all of them. */
export type ShipperEvents = {
  readonly [T in ShipperEvent['type']]: [event: Extract<ShipperEvent, { readonly type: T }>];
} & {
  /** Every event, of every type. */
  readonly event: [event: ShipperEvent];
};

/** How long `health()` waits for the helper, milliseconds. */
const HEALTH_PATIENCE = 900;

/** Makes a shipper that uses this supervisor's helper process, as all shippers of a fleet do. Internal. */
export let shipperBy: (supervisor: HelperSupervisor, options: ShipperOptions) => Shipper;

/**
 * Keeps one SQLite database backed up while the app runs.
 *
 * ```ts
 * const shipper = new Shipper({ database: 'app.db', replica: 's3://bucket/app' });
 * await shipper.start();
 * ```
 *
 * All work happens in a helper process, whatever SQLite library the app uses. If the app dies, the helper ships what
 * was committed and ends; if the helper dies, another takes over.
 *
 * If nothing listens for `problem` or `event`, a failing backup writes a warning of the process (`SeawallWarning`), each
 * problem at most once in ten minutes.
 */
export class Shipper extends EventEmitter<ShipperEvents> {
  static {
    shipperBy = (supervisor, options) => {
      const shipper = new Shipper(options);
      shipper.#supervisor = supervisor;
      return shipper;
    };
  }

  readonly #settings: Settings;
  #supervisor = new HelperSupervisor();
  readonly #health = new HealthRecord();
  readonly #warnings = new DefaultWarnings();
  #shipment: SupervisedShipment | undefined;
  #stopping: Promise<void> | undefined;

  /** Checks the options and touches nothing yet. Throws a TypeError or RangeError that names the wrong option. */
  constructor(options: ShipperOptions) {
    super();
    this.#settings = settle(options);
  }

  /** The database's path, absolute. */
  get database(): string {
    return this.#settings.database;
  }

  /** The replica, as given in the options. */
  get replica(): string {
    return this.#settings.replica;
  }

  /** Process id of the helper, while it runs. */
  get pid(): number | undefined {
    return this.#shipment === undefined ? undefined : this.#supervisor.pid;
  }

  /**
   * Starts shipping. Resolves when the database is safe in the replica as it is now; with `restore: 'if-missing'`,
   * after a missing database was restored, so open the database after this.
   *
   * Rejects if the database cannot be followed (`refused`, `local`, `missing`) or the store cannot be used
   * (`denied`, `unreachable`). After a rejection nothing runs.
   */
  async start(): Promise<void> {
    if (this.#shipment !== undefined) throw new SeawallError('refused', 'STARTED', 'the shipper has started already');
    const shipment = new SupervisedShipment(this.#supervisor, this.#settings, (event) => {
      this.#tell(event);
    });
    this.#shipment = shipment;
    this.#stopping = undefined;
    try {
      await shipment.start();
    } catch (error) {
      if (this.#shipment === shipment) this.#shipment = undefined;
      throw error;
    }
  }

  /**
   * Resolves when everything that any connection of any process committed before the call is in the replica.
   * Waits until an outage of the store is over, and until a killed helper is replaced. Rejects if shipping ends first
   * (fenced, failed, stopped).
   */
  async sync(): Promise<Synced> {
    return (await this.#need().ask({ ask: 'sync' })) as Synced;
  }

  /**
   * Resolves when everything that any connection of any process committed before the call is in the replica, as
   * `sync()` does, but asks for no upload of its own: the next one, at most `syncInterval` away, answers all who wait.
   * So any number of requests at once cost one PUT an interval. Rejects as `sync()` does.
   */
  async durable(): Promise<Synced> {
    return (await this.#need().ask({ ask: 'durable' })) as Synced;
  }

  /**
   * Tells within a second whether the backup is fresh: everything committed more than `maxLag` ago (milliseconds or
   * text, default '30s') is in the replica. If another shipper took the replica over, it is known within a `heartbeat`,
   * and at each `sync()` and `durable()`. Never rejects, whatever the store or the helper does, also before `start()`
   * and after `stop()`; a `maxLag` that is not a duration is a TypeError.
   */
  async health({ maxLag = '30s' }: { readonly maxLag?: string | number } = {}): Promise<Health> {
    const most = parseDuration(maxLag, 'maxLag');
    return this.#health.record(await this.#examine(most), Date.now());
  }

  /**
   * Ends the app on SIGTERM and SIGINT: awaits `before` (close the server and the database there), then {@link stop},
   * then ends the process by the same signal. See {@link StopOnSignalsOptions}. Returns a function that removes the
   * handlers. Throws `refused` (NOT_MAIN_THREAD) in a worker thread.
   */
  stopOnSignals(options?: StopOnSignalsOptions): () => void {
    return stopOnSignals(() => this.stop(), options);
  }

  /**
   * Makes a snapshot now and resolves with its key. Apps seldom need it, because compaction makes snapshots from the
   * bucket.
   */
  async snapshot(): Promise<string> {
    return (await this.#need().ask({ ask: 'snapshot' })) as string;
  }

  /** The status of the shipper. Also resolves while the helper is `restarting`. */
  async status(): Promise<ShipperStatus> {
    return this.#need().status();
  }

  /**
   * Ships what is committed and ends the helper. Rejects (`unreachable`, STOP_TIMEOUT) if the store did not accept
   * it within `stopTimeout`, or (`local`, HELPER_ENDED) if the helper ended first. Nothing is lost then: the next start
   * ships it.
   */
  async stop(): Promise<void> {
    const shipment = this.#shipment;
    if (shipment === undefined) return this.#stopping;
    this.#stopping ??= (async () => {
      try {
        await shipment.stop();
      } finally {
        if (this.#shipment === shipment) this.#shipment = undefined;
      }
    })();
    return this.#stopping;
  }

  /** The same as {@link Shipper.stop}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #examine(maxLag: number): Promise<Finding> {
    const shipment = this.#shipment;
    if (shipment === undefined) {
      const reason: HealthReason = this.#stopping === undefined ? 'not-started' : 'stopped';
      return { ok: false, reason, message: reason === 'stopped' ? 'stop() was called' : 'start() was not called' };
    }
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(resolve, HEALTH_PATIENCE, undefined);
    try {
      const status = await Promise.race([shipment.status(), late]);
      if (status !== undefined) return judge(status, maxLag);
      const seconds = HEALTH_PATIENCE / 1000;
      return { ok: false, reason: 'no-answer', message: `the helper process has not answered for ${seconds} s` };
    } catch (error) {
      return { ok: false, reason: 'no-answer', message: error instanceof Error ? error.message : String(error) };
    } finally {
      clearTimeout(timer);
    }
  }

  #need(): SupervisedShipment {
    if (this.#shipment !== undefined) return this.#shipment;
    throw new SeawallError('refused', 'NOT_STARTED', 'the shipper is not running; await start() first');
  }

  #tell(event: ShipperEvent): void {
    const emit = this.emit.bind(this) as (name: string, event: ShipperEvent) => boolean;
    const heard = emit(event.type, event);
    if (!emit('event', event) && !heard) this.#warnings.hear(event, this.database);
  }
}
