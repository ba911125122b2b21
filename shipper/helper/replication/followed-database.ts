/** The database that is followed: looks at it, lets it go if its files change past SQLite, and opens it again. */
import type { Clock } from '../../clock.ts';
import type { Settings } from '../../options.ts';
import { ContinuityLost, losesFiles } from '../continuity-lost.ts';
import type { Follower } from '../capture/follower.ts';
import type { Health } from './health.ts';
import type { LiveDatabase } from '../database/live-database.ts';
import type { Change, LeftBehind } from '../database/left-behind.ts';
import { isMalformed } from '../database/sqlite-refusals.ts';
import { reopen } from '../database/opening.ts';
import type { PollResult } from '../sharing/poll-schedule.ts';
import { WalWatch } from '../capture/wal-watch.ts';

/** After this long without news only the pin's connection stays open, in milliseconds. */
const REST_AFTER = 10_000;

const CHANGES = {
  'database-replaced': 'replaced',
  'wal-files-removed': 'parted',
  'database-changed': 'overwritten',
} as const satisfies Record<string, Change>;

export class FollowedDatabase {
  readonly #settings: Settings;
  readonly #clock: Clock;
  readonly #health: Health;
  readonly #onLost: (lost: ContinuityLost) => void;
  #open: { readonly live: LiveDatabase; readonly watch: WalWatch } | undefined;
  #follower: Follower | undefined;
  /** What was let go, until one is followed again. */
  #left: LeftBehind | undefined;
  #isEnding = false;
  /** When to rest, by the steady clock. Infinity until shipping begins, and from a rest until there is news. */
  #restAt = Infinity;

  /**
   * `live` is its own from now on. `onLost` is told when continuity is lost; nothing is captured then until `follow`.
   */
  constructor(
    live: LiveDatabase,
    settings: Settings,
    clock: Clock,
    health: Health,
    onLost: (lost: ContinuityLost) => void,
  ) {
    this.#settings = settings;
    this.#clock = clock;
    this.#health = health;
    this.#onLost = onLost;
    this.#take(live);
  }

  /** Undefined while there is no database to follow. */
  get live(): LiveDatabase | undefined {
    return this.#open?.live;
  }

  /** Undefined while nothing is captured. */
  get follower(): Follower | undefined {
    return this.#follower;
  }

  follow(follower: Follower): void {
    this.#follower = follower;
    this.#restAt = 0;
  }

  /** Stops capturing. The WAL is kept short all the same. */
  letGo(): void {
    this.#follower = undefined;
  }

  /** The end of everything committed by now; undefined while nothing is captured, or if it is unknown now. */
  committed(): ReturnType<Follower['committed']> | undefined {
    return this.#try((follower) => follower.committed());
  }

  /** Captures the next segment. Returns false if that is impossible now. */
  capture(): boolean {
    return (
      this.#try((follower) => {
        follower.capture();
        return true;
      }) === true
    );
  }

  #try<T>(act: (follower: Follower) => T): T | undefined {
    if (this.#follower === undefined || this.#open === undefined) return undefined;
    try {
      this.#open.live.checkPlace();
      return act(this.#follower);
    } catch (error) {
      this.#noted(error);
      return undefined;
    }
  }

  /** Reports a loss of continuity. Rethrows any other error. */
  lostBy(error: unknown): void {
    if (!(error instanceof ContinuityLost)) throw error;
    if (losesFiles(error.reason)) this.#leave(CHANGES[error.reason]);
    this.letGo();
    this.#onLost(error);
  }

  look(): PollResult {
    if (this.#open === undefined) return 'quiet';
    const { live, watch } = this.#open;
    try {
      watch.look(this.#follower);
      this.#health.succeeded('database');
      const news = this.#follower?.hasNews() === true;
      if (news) this.#restAt = this.#clock.steady() + REST_AFTER;
      else if (this.#clock.steady() >= this.#restAt && !live.snapshotHeld) {
        live.rest();
        this.#restAt = Infinity;
      }
      return this.#follower?.behind === true ? 'behind' : news ? 'news' : 'quiet';
    } catch (error) {
      return this.#noted(error) ? 'quiet' : 'failed';
    }
  }

  /** Reports an error. Returns true for a loss of continuity, which is no failure of the database. */
  #noted(error: unknown): boolean {
    const lost = isMalformed(error) ? new ContinuityLost('database-changed', String(error)) : error;
    if (lost instanceof ContinuityLost) this.lostBy(lost);
    else this.#failed(error);
    return lost instanceof ContinuityLost;
  }

  /** Waits for a database in place of the one that was let go, for as long as it takes. */
  async findAgain(signal: AbortSignal): Promise<void> {
    const left = this.#left;
    if (left === undefined) return;
    this.#left = undefined;
    this.#take(
      await reopen(left, this.#settings, this.#clock, signal, (error) => {
        this.#failed(error);
      }),
    );
    this.#health.succeeded('database');
  }

  /** Forbids the helper's own writes, so that everything in the file is shipped at the end. */
  ending(): void {
    this.#isEnding = true;
    this.#open?.live.ending();
  }

  close(): void {
    this.#open?.live.close();
    this.#open = undefined;
    this.#left?.release();
    this.#left = undefined;
  }

  #take(live: LiveDatabase): void {
    if (this.#isEnding) live.ending();
    this.#open = { live, watch: new WalWatch(live, this.#settings, this.#clock) };
  }

  /**
   * Lets the files go at once, so that no lock of ours is in the app's way. The descriptors still lead to the former WAL:
   * its last commits are captured before, unless they may be commits to content that was exchanged under it.
   */
  #leave(change: Change): void {
    const live = this.#open?.live;
    if (live === undefined) return;
    try {
      if (change !== 'overwritten') this.#follower?.captureTheRest();
    } catch (error) {
      if (!(error instanceof ContinuityLost)) this.#failed(error);
    }
    this.#open = undefined;
    this.#left = live.abandon(change);
  }

  #failed(error: unknown): void {
    this.#health.failed('database', error, this.#health.failures('database') + 1);
  }
}
