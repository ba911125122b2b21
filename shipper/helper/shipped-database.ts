/**
 * One database that the helper ships: its lock, its store, its live files and its replicator, opened and closed
 * together.
 */
import { closeSync, existsSync, openSync, readdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { isKind, SeawallError } from '../../replica/terms/errors.ts';
import { formatChecksum } from '../../replica/format/page-hashes.ts';
import { restore } from '../../replica/restore/restore.ts';
import type { Store } from '../../replica/store/store.ts';
import type { Clock } from '../clock.ts';
import type { Settings } from '../options.ts';
import type { Request, ShipperEvent } from '../protocol.ts';
import { placed } from './database/database-place.ts';
import { open } from './database/opening.ts';
import { Replicator } from './replication/replicator.ts';
import type { PollSchedule } from './sharing/poll-schedule.ts';
import { StateLock } from './database/state-lock.ts';
import type { Stores } from './sharing/stores.ts';
import { switchToWal } from './database/wal-mode.ts';

type StartRequest = Extract<Request, { ask: 'start' }>;

/** How long a start with `whenUnreachable: 'retry'` waits for the store's first answer, milliseconds. */
const BOOT_PATIENCE = 3000;
/** Open files of one database, at most. */
const MOST_DESCRIPTORS = 13;

/** What all databases of the helper have in common. */
export interface SharedByAll {
  readonly stores: Stores;
  readonly schedule: PollSchedule;
  readonly clock: Clock;
}

export class ShippedDatabase {
  readonly settings: Settings;
  readonly #shared: SharedByAll;
  readonly #emit: (event: ShipperEvent) => void;
  /** The signal aborts when a stop is asked for; the promise rejects when the stop is done. */
  readonly #stopAsked = new AbortController();
  readonly #stopped = Promise.withResolvers<never>();
  /** Aborted when nothing is uploaded any more. */
  readonly #closed = new AbortController();
  #stopping: Promise<void> | undefined;
  #replicator: Replicator | undefined;
  /** What to close, in the order in which it was opened. */
  readonly #opened: (() => void | Promise<void>)[] = [];

  constructor(settings: Settings, shared: SharedByAll, emit: (event: ShipperEvent) => void) {
    this.settings = settings;
    this.#shared = shared;
    this.#emit = emit;
    this.#stopped.promise.catch(() => undefined); // nobody may be waiting for it
  }

  /** The replicator at work. Throws `refused` (NOT_STARTED) while there is none. */
  get replicator(): Replicator {
    if (this.#replicator !== undefined) return this.#replicator;
    throw new SeawallError('refused', 'NOT_STARTED', 'the shipper has not started');
  }

  /** Opens everything and begins to ship. Closes everything again if that fails. */
  async start(request: StartRequest): Promise<void> {
    try {
      await Promise.race([this.#open(request), this.#stopped.promise]);
    } catch (error) {
      if (this.#stopping === undefined) await this.#replicator?.stop(0).catch(() => undefined);
      await this.#close();
      throw error;
    }
  }

  /**
   * Ships what is committed, within `stopTimeout`, and closes everything. If a start is still under way, it ends by
   * itself and is not waited for.
   */
  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      const stopped = new SeawallError('refused', 'STOPPED', 'the shipper was stopped');
      this.#stopAsked.abort(stopped);
      if (this.#replicator === undefined) return;
      try {
        await this.#replicator.stop(this.settings.stopTimeout);
      } finally {
        await this.#close();
        this.#stopped.reject(stopped);
      }
    })();
    return this.#stopping;
  }

  async #open({ settings: asked, owner, isRestart }: StartRequest): Promise<void> {
    const settings = placed(asked);
    const { signal } = this.#stopAsked;
    const { clock, schedule, stores } = this.#shared;
    const mayRestore = settings.restore === 'if-missing' && !isRestart;
    if (!mayRestore) refuseMissing(settings);
    checkDescriptors(settings.database);
    const lock = await StateLock.take(settings.stateFolder, settings.database, clock);
    this.#opened.push(() => {
      lock.release();
    });
    signal.throwIfAborted();
    const { store, wholeReads } = await stores.open(settings.replica, this.#closed.signal);
    this.#opened.push(() => store.close());
    if (mayRestore) await wholeReads.run(signal, () => this.#bringBack(settings.database, store));
    signal.throwIfAborted();
    const live = await open(settings, clock, signal);
    try {
      this.#replicator = new Replicator({
        settings,
        store,
        wholeReads,
        schedule,
        live,
        owner: { owner, holder: `${hostname()} process ${process.pid}` },
        isRestart,
        clock,
        emit: this.#emit,
      });
    } catch (error) {
      live.close();
      throw error;
    }
    const begun = this.#replicator.start(isRestart ? 'helper-ended' : 'start');
    if (isRestart) begun.catch(() => undefined);
    else if (settings.whenUnreachable === 'retry') await orUnreachable(begun);
    else await begun;
  }

  async #close(): Promise<void> {
    this.#closed.abort(new SeawallError('refused', 'STOPPED', 'the shipper was stopped'));
    for (const close of this.#opened.splice(0).reverse()) await close();
  }

  /** Restores a missing database. If the replica is empty too, creates an empty database in WAL mode. */
  async #bringBack(path: string, store: Store): Promise<void> {
    if (existsSync(path)) return;
    removeLeftovers(path);
    try {
      const restored = await restore(store, path, {
        onProgress: (done, total) => {
          this.#emit({ type: 'progress', what: 'restore', done, ...(total !== undefined && { total }) });
        },
      });
      const { position, checksum, pages, bytes } = restored;
      this.#emit({ type: 'restored', position, checksum: formatChecksum(checksum), pages, bytes });
    } catch (error) {
      if (!isKind(error, 'missing') || (error.code !== 'REPLICA_EMPTY' && error.code !== 'NO_SNAPSHOT')) throw error;
      switchToWal(path, false);
    }
  }
}

/**
 * Throws `local` (TOO_MANY_FILES) if too few descriptors are left: SQLite itself would not name the cause. A database
 * takes 7, and up to 13 for moments.
 */
function checkDescriptors(path: string): void {
  const opened: number[] = [];
  try {
    while (opened.length < MOST_DESCRIPTORS) opened.push(openSync('/dev/null', 'r'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EMFILE') throw error;
    throw new SeawallError(
      'local',
      'TOO_MANY_FILES',
      `${path} needs up to ${MOST_DESCRIPTORS} open files, and the helper process has reached its limit; raise it (ulimit -Hn, LimitNOFILE in systemd), or ship fewer databases`,
      { path, expected: MOST_DESCRIPTORS },
      error,
    );
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

/** Resolves also if the store cannot be reached, or has not answered in {@link BOOT_PATIENCE}. The replicator goes on. */
async function orUnreachable(begun: Promise<void>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, BOOT_PATIENCE, undefined);
  const reached = begun.catch((error: unknown) => {
    if (!isKind(error, 'unreachable')) throw error;
  });
  try {
    await Promise.race([reached, late]);
  } finally {
    clearTimeout(timer);
    reached.catch(() => undefined); // what comes later, events tell
  }
}

function refuseMissing({ database: path }: Settings): void {
  if (existsSync(path)) return;
  const hint = "create it first, or set restore: 'if-missing'";
  throw new SeawallError('missing', 'DATABASE_MISSING', `${path} does not exist; ${hint}`, { path });
}

/** Removes temporary files of a restore that was killed. The lock is held, so nobody else restores to this path. */
function removeLeftovers(path: string): void {
  const folder = dirname(path);
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    if (name.startsWith(`.${basename(path)}.seawall-`)) rmSync(join(folder, name), { force: true });
  }
}
