/** Follows a pattern of files for a fleet: adds new files and removes those that are gone. */
import { statSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { basename, extname, relative, resolve, sep } from 'node:path';
import { SeawallError } from '../replica/terms/errors.ts';
import { parseDuration } from '../replica/terms/units.ts';
import type { ShipperOptions } from './options.ts';
import { toPlain } from './plain-error.ts';
import type { PlainError } from './protocol.ts';

/** Which files {@link Fleet.follow} ships, to which replicas, and the options of their shippers. */
export interface FolderOptions extends Omit<ShipperOptions, 'database' | 'replica' | 'stateFolder'> {
  /** The files: a path with `*`, `?`, `[…]`, `{a,b}` or `**` in it. */
  readonly pattern: string;
  /**
   * The replica of each: a URL or path with `{name}` (the file's name without its ending) or `{path}` (its path from
   * the pattern's first wildcard on, without the ending) in it, or a function of the database's path.
   */
  readonly replica: string | ((database: string) => string);
  /** How often to look for new files and for files that are gone. Default '5s'. */
  readonly every?: string | number;
}

/** Databases that are added at a time. */
const AT_A_TIME = 8;
/** What SQLite and the shipper keep beside databases. */
const BESIDE = /(-wal|-shm|-journal)$|(^|\/)\.[^/]*$|-seawall(\/|$)/;

/** The fleet, as a followed folder uses it. */
export interface FollowedBy {
  add(options: ShipperOptions): Promise<unknown>;
  remove(database: string): Promise<void>;
  has(database: string): boolean;
  refused(refusal: { readonly database: string; readonly error: PlainError }): void;
}

export class FolderWatch {
  readonly #fleet: FollowedBy;
  readonly #pattern: string;
  readonly #base: string;
  readonly #replicaOf: (database: string) => string;
  readonly #every: number;
  readonly #options: Omit<ShipperOptions, 'database' | 'replica'>;
  readonly #added = new Set<string>();
  /** Files that the last look did not find. A file that is being replaced may be missing for a moment. */
  #missed = new Set<string>();
  /** Why files are not shipped, and how many looks to skip before the next attempt. */
  readonly #refused = new Map<string, { readonly code: string; readonly pause: number; left: number }>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #stopped = false;

  /** Throws a TypeError or RangeError if an option is wrong. */
  constructor(fleet: FollowedBy, { pattern, replica, every = '5s', ...options }: FolderOptions) {
    if (typeof pattern !== 'string' || !hasWildcard(pattern)) {
      throw new TypeError(`pattern must be a path with a wildcard such as *.db, not ${JSON.stringify(pattern)}`);
    }
    if (typeof replica === 'string' && !/\{(name|path)\}/.test(replica)) {
      throw new TypeError(
        `replica must have {name} or {path} in it, or be a function: each database needs a place of its own`,
      );
    }
    this.#fleet = fleet;
    this.#pattern = resolve(pattern);
    this.#base = resolve(/^[^*?[{]*\//.exec(pattern)?.[0] ?? '.');
    this.#replicaOf = typeof replica === 'string' ? (database) => this.#fill(replica, database) : replica;
    this.#every = parseDuration(every, 'every');
    if (this.#every < 10) throw new RangeError(`every must be at least 10 ms, not ${this.#every}`);
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#looking = this.#look();
    await this.#looking;
    this.#plan();
  }

  /** Stops looking. Databases that were added stay. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  #plan(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.#look().finally(() => {
        this.#plan();
      });
    }, this.#every);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const found = new Set<string>();
    for await (const path of fs.glob(this.#pattern)) if (!BESIDE.test(path) && isFile(path)) found.add(path);
    const missed = new Set<string>();
    for (const database of this.#added) {
      if (found.has(database)) continue;
      if (this.#missed.has(database)) await this.#remove(database);
      else missed.add(database);
    }
    this.#missed = missed;
    for (const database of this.#refused.keys()) if (!found.has(database)) this.#refused.delete(database);
    const fresh = [...found].filter((database) => !this.#added.has(database) && this.#isDue(database));
    const next = fresh[Symbol.iterator]();
    await Promise.all(
      Array.from({ length: AT_A_TIME }, async () => {
        for (const database of next) {
          if (this.#stopped) return;
          await this.#add(database);
        }
      }),
    );
  }

  async #add(database: string): Promise<void> {
    try {
      await this.#fleet.add({ ...this.#options, database, replica: this.#replicaOf(database) });
      this.#added.add(database);
      this.#refused.delete(database);
    } catch (error) {
      const plain = toPlain(error);
      const before = this.#refused.get(database);
      const pause = before === undefined ? 0 : Math.min(2 * before.pause + 1, 60);
      this.#refused.set(database, { code: plain.code, pause, left: pause });
      if (before?.code !== plain.code) this.#fleet.refused({ database, error: plain });
    }
  }

  async #remove(database: string): Promise<void> {
    this.#added.delete(database);
    try {
      if (this.#fleet.has(database)) await this.#fleet.remove(database);
    } catch (error) {
      // The database is gone, so its shipper is expected to fail at shipping the rest.
      if (error instanceof SeawallError && error.code === 'STOPPED_WAITING') return;
      this.#fleet.refused({ database, error: toPlain(error) });
    }
  }

  #isDue(database: string): boolean {
    const refused = this.#refused.get(database);
    return refused === undefined || refused.left-- <= 0;
  }

  #fill(replica: string, database: string): string {
    const ending = extname(database);
    const path = relative(this.#base, database).slice(0, ending === '' ? undefined : -ending.length);
    return replica
      .replaceAll('{name}', () => basename(database, ending))
      .replaceAll('{path}', () => path.split(sep).join('/'));
  }
}

export function hasWildcard(path: string): boolean {
  return /[*?[{]/.test(path);
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
