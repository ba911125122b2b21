/** Many databases, shipped by one helper process. */
import { EventEmitter } from 'node:events';
import { SeawallError } from '../replica/terms/errors.ts';
import { DefaultWarnings } from './default-warnings.ts';
import { FleetPlaces } from './fleet-places.ts';
import { stopOnSignals, type StopOnSignalsOptions } from './stop-on-signals.ts';
import { FolderWatch, type FolderOptions } from './folder-watch.ts';
import { HelperSupervisor } from './helper-supervisor.ts';
import { settle, type ShipperOptions } from './options.ts';
import type { PlainError, ShipperEvent, ShipperStatus } from './protocol.ts';
import { shipperBy, type Shipper } from './shipper.ts';

/** Options for every database of the fleet. Options given to `add()` take precedence. */
export type FleetOptions = Omit<ShipperOptions, 'database' | 'replica' | 'stateFolder'>;

/** Every event of every shipper, with the shipper; and what happens in followed folders. */
export type FleetEvents = {
  readonly [T in ShipperEvent['type']]: [event: Extract<ShipperEvent, { readonly type: T }>, shipper: Shipper];
} & {
  /** Every event, of every type and database. */
  readonly event: [event: ShipperEvent, shipper: Shipper];
  /** A database is shipped from now on. */
  readonly added: [shipper: Shipper];
  /** A database is no longer shipped. */
  readonly removed: [shipper: Shipper];
  /** A file of a followed folder is not shipped; it is tried again. Emitted if the reason is a new one. */
  readonly refused: [
    refusal: {
      /** The file's path, absolute. */
      readonly database: string;
      /** Why it is not shipped. */
      readonly error: PlainError;
    },
  ];
};

/**
 * Keeps many SQLite databases backed up by one helper process.
 *
 * ```ts
 * const fleet = new Fleet({ syncInterval: '1s' });
 * const tenant = await fleet.add({ database: 'tenants/7.db', replica: 's3://bucket/tenants/7' });
 * await tenant.sync();
 * await fleet.remove('tenants/7.db');
 * await fleet.stop();
 * ```
 *
 * Each database has a {@link Shipper} of its own: one that fails or is fenced does not disturb the others.
 */
export class Fleet extends EventEmitter<FleetEvents> {
  readonly #defaults: FleetOptions;
  readonly #supervisor = new HelperSupervisor();
  readonly #places = new FleetPlaces();
  readonly #warnings = new DefaultWarnings();
  readonly #shippers = new Map<string, Shipper>();
  readonly #folders = new Set<FolderWatch>();
  #stopping: Promise<void> | undefined;

  /** Checks the options and touches nothing yet. Throws a TypeError or RangeError that names the wrong option. */
  constructor(options: FleetOptions = {}) {
    super();
    for (const name of ['database', 'replica', 'stateFolder']) {
      if (Object.hasOwn(options, name)) throw new TypeError(`${name} is each database's own: give it to add()`);
    }
    settle({ ...options, database: 'any', replica: 'any' });
    this.#defaults = { ...options };
  }

  /** Process id of the helper, while it runs. */
  get pid(): number | undefined {
    return this.#supervisor.pid;
  }

  /** The shippers of all databases, in the order in which they were added. */
  get shippers(): readonly Shipper[] {
    return [...this.#shippers.values()];
  }

  /** The shipper of this database, if the fleet has it. */
  get(database: string): Shipper | undefined {
    return this.#shippers.get(settle({ database, replica: 'any' }).database);
  }

  /**
   * Starts to ship one more database; see {@link Shipper.start} for what it waits for and when it rejects. It
   * also rejects (`refused`) if the fleet already has this file (SAME_DATABASE) or a replica in that place
   * (SAME_REPLICA). After a rejection the fleet does not have the database.
   */
  async add(options: ShipperOptions): Promise<Shipper> {
    if (this.#stopping !== undefined) throw new SeawallError('refused', 'STOPPED', 'the fleet was stopped');
    const merged = { ...this.#defaults, ...options };
    const settings = settle(merged);
    this.#places.take(settings);
    const shipper = shipperBy(this.#supervisor, merged);
    shipper.on('event', (event) => {
      const emit = this.emit.bind(this) as (name: string, event: ShipperEvent, shipper: Shipper) => boolean;
      const heard = emit(event.type, event, shipper);
      if (!emit('event', event, shipper) && !heard) this.#warnings.hear(event, shipper.database);
    });
    this.#shippers.set(settings.database, shipper);
    try {
      await shipper.start();
    } catch (error) {
      this.#forget(shipper);
      throw error;
    }
    this.emit('added', shipper);
    return shipper;
  }

  /** Ships what is committed of this database, then removes it; see {@link Shipper.stop}. The other databases go on. */
  async remove(database: string): Promise<void> {
    const shipper = this.get(database);
    if (shipper === undefined) throw new SeawallError('missing', 'NOT_IN_FLEET', `the fleet does not ship ${database}`);
    try {
      await shipper.stop();
    } finally {
      this.#forget(shipper);
      this.emit('removed', shipper);
    }
  }

  /**
   * Ships every database that matches a pattern, now and later: new files are added, and those that are gone are
   * removed. Resolves when every file that exists now is shipped or refused. The event `refused` names the refused
   * ones.
   */
  async follow(options: FolderOptions): Promise<void> {
    if (this.#stopping !== undefined) throw new SeawallError('refused', 'STOPPED', 'the fleet was stopped');
    const folder = new FolderWatch(
      {
        add: (database) => this.add(database),
        remove: (database) => this.remove(database),
        has: (database) => this.get(database) !== undefined,
        refused: (refusal) => this.emit('refused', refusal),
      },
      options,
    );
    this.#folders.add(folder);
    await folder.start();
  }

  /** The status of each database. */
  async status(): Promise<ShipperStatus[]> {
    return Promise.all(this.shippers.map((shipper) => shipper.status()));
  }

  /**
   * Ships what is committed of all databases and ends the helper. Rejects with the error of the shipper that failed, or
   * with an AggregateError if several did.
   */
  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      await Promise.all([...this.#folders].map((folder) => folder.stop()));
      const stopped = await Promise.allSettled(this.shippers.map((shipper) => shipper.stop()));
      const errors: unknown[] = [];
      for (const each of stopped) if (each.status === 'rejected') errors.push(each.reason);
      if (errors.length === 1) throw errors[0];
      if (errors.length > 1) throw new AggregateError(errors, `${errors.length} databases were not shipped to the end`);
    })();
    return this.#stopping;
  }

  /** As {@link Shipper.stopOnSignals}, for all databases of the fleet. */
  stopOnSignals(options?: StopOnSignalsOptions): () => void {
    return stopOnSignals(() => this.stop(), options);
  }

  /** The same as {@link Fleet.stop}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #forget(shipper: Shipper): void {
    this.#shippers.delete(shipper.database);
    this.#places.free(shipper.database);
  }
}
