/** The database that is followed: looked at again and again, left when another file takes its place, and found anew. */
import type { Clock } from '../../clock.ts';
import type { Settings } from '../../options.ts';
import { ContinuityLost } from '../continuity-lost.ts';
import type { Follower } from '../capture/follower.ts';
import type { Health } from './health.ts';
import type { LiveDatabase } from '../database/live-database.ts';
import { reopen } from '../database/opening.ts';
import type { PollResult } from '../sharing/poll-schedule.ts';
import { WalWatch } from '../capture/wal-watch.ts';

/** After so long without news only the pin's connection is kept open, milliseconds. */
const REST_AFTER = 10_000;

export class FollowedDatabase {
  readonly #settings: Settings;
  readonly #clock: Clock;
  readonly #health: Health;
  readonly #onLost: (lost: ContinuityLost) => void;
  #open: { readonly live: LiveDatabase; readonly watch: WalWatch } | undefined;
  #follower: Follower | undefined;
  /** Another file has its place: the one that is open must not be touched any more. */
  #replaced = false;
  #isEnding = false;
  /** Not before the shipping has begun, and again after news. */
  #restAt = Infinity;

  /** `live` is its own from now on. `onLost` is told when continuity is lost; nothing is captured then until `follow`. */
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

  /** Undefined while there is none that could be followed. */
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

  /** Captures nothing more; the WAL is kept short all the same. */
  letGo(): void {
    this.#follower = undefined;
  }

  /** The end of everything committed by now; undefined while nothing is captured, or when it cannot be told now. */
  committed(): ReturnType<Follower['committed']> | undefined {
    return this.#try((follower) => follower.committed());
  }

  /** Captures what comes next. False when that is impossible now. */
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

  /** Tells of a loss of continuity; any other error is thrown on. */
  lostBy(error: unknown): void {
    if (!(error instanceof ContinuityLost)) throw error;
    if (error.reason === 'database-replaced') this.#captureTheRest();
    this.letGo();
    this.#onLost(error);
  }

  look(): PollResult {
    if (this.#open === undefined || this.#replaced) return 'quiet';
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

  /** True for a loss of continuity, which is no failure of the database. */
  #noted(error: unknown): boolean {
    if (error instanceof ContinuityLost) this.lostBy(error);
    else this.#failed(error);
    return error instanceof ContinuityLost;
  }

  /** Lets the replaced file go and waits for the one in its place, for as long as it takes. */
  async findAnew(signal: AbortSignal): Promise<void> {
    const former = this.#open?.live;
    if (former === undefined) return;
    this.#open = undefined;
    this.#take(
      await reopen(former, this.#settings, this.#clock, signal, (error) => {
        this.#failed(error);
      }),
    );
    this.#health.succeeded('database');
  }

  /** What is committed by the end of the shipping is to be all there is in the file. */
  ending(): void {
    this.#isEnding = true;
    this.#open?.live.ending();
  }

  close(): void {
    if (this.#replaced) this.#open?.live.abandon().release();
    else this.#open?.live.close();
    this.#open = undefined;
  }

  #take(live: LiveDatabase): void {
    if (this.#isEnding) live.ending();
    this.#open = { live, watch: new WalWatch(live, this.#settings, this.#clock) };
    this.#replaced = false;
  }

  /** The former file's descriptors still lead to its WAL: its last commits are captured before it is let go. */
  #captureTheRest(): void {
    this.#replaced = true;
    try {
      this.#follower?.captureTheRest();
    } catch (error) {
      if (!(error instanceof ContinuityLost)) this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    this.#health.failed('database', error, this.#health.failures('database') + 1);
  }
}
