/** The handle an app holds of one database that is shipped. */
import { EventEmitter } from 'node:events';
import { SeawallError } from '../replica/terms/errors.ts';
import { HelperSupervisor } from './helper-supervisor.ts';
import { SupervisedShipment } from './supervised-shipment.ts';
import { settle, type Settings, type ShipperOptions } from './options.ts';
import type { ShipperEvent, ShipperStatus, Synced } from './protocol.ts';

/** The listeners of a {@link Shipper}: one name for each type of event, and `event` for all of them. */
export type ShipperEvents = {
  readonly [T in ShipperEvent['type']]: [event: Extract<ShipperEvent, { readonly type: T }>];
} & {
  /** Every event, of every type. */
  readonly event: [event: ShipperEvent];
};

/** A shipper whose helper process is the supervisor's, as all shippers of a fleet have it. Not for apps. */
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

  /** Where the backup goes, as the options say it. */
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
   * Rejects when the database cannot be followed (`refused`, `local`, `missing`) or the store cannot be used
   * (`denied`, `unreachable`); nothing runs then.
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
   * Waits out an outage of the store, and a helper that was killed; rejects when shipping ends before (fenced, failed,
   * stopped).
   */
  async sync(): Promise<Synced> {
    return (await this.#need().ask({ ask: 'sync' })) as Synced;
  }

  /** Makes a snapshot now, and answers its key. Compaction does this from the bucket; apps seldom need it. */
  async snapshot(): Promise<string> {
    return (await this.#need().ask({ ask: 'snapshot' })) as string;
  }

  /** How it is; while the helper is `restarting`, too. */
  async status(): Promise<ShipperStatus> {
    return this.#need().status();
  }

  /**
   * Ships what is committed and ends the helper. Rejects (`unreachable`, STOP_TIMEOUT) when the store did not take it
   * in `stopTimeout`, or (`local`, HELPER_ENDED) when the helper ended before; nothing is lost then, the next start
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

  #need(): SupervisedShipment {
    if (this.#shipment !== undefined) return this.#shipment;
    throw new SeawallError('refused', 'NOT_STARTED', 'the shipper is not running; await start() first');
  }

  #tell(event: ShipperEvent): void {
    const emit = this.emit.bind(this) as (name: string, event: ShipperEvent) => boolean;
    emit(event.type, event);
    emit('event', event);
  }
}
