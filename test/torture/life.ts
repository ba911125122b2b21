/** One run of an app with its shipper, and the deaths that are planned for it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Seeded } from '../history/seeded.ts';
import type { FaultHandle } from '../s3-server/index.ts';
import { until } from '../shipper/scene.ts';
import { count } from './figures.ts';
import { Finding } from './finding.ts';
import { killRule } from './kill-points.ts';
import type { Kill, LifePlan, Victim } from './plan.ts';
import { isHelper, killHelper, Process } from './process.ts';
import type { AppSettings, AppWord } from './processes/app.ts';
import { script } from './steps.ts';
import type { World } from './world.ts';

const APP = new URL('./processes/app.ts', import.meta.url).pathname;
/** Failures that an app must expect while its helper is killed and its store is in trouble. */
const ORDINARY = new Set(['HELPER_ENDED', 'NOT_STARTED', 'STOPPED', 'STOP_TIMEOUT', 'ALREADY_SHIPPED', 'STARTED']);

type Failure = Extract<AppWord, { readonly failed: unknown }>;

export class Life {
  readonly #world: World;
  readonly #key: string;
  readonly #process: Process<AppWord>;
  readonly #helpers = new Set<number>();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #rules: FaultHandle[] = [];
  readonly #onReady: (() => void)[] = [];
  readonly #manner: LifePlan['manner'];
  readonly #random: Seeded;
  readonly #helperKilledEvery: number | undefined;
  ready = false;
  stopped = false;
  fenced = false;

  constructor(
    world: World,
    plan: Omit<LifePlan, 'duration' | 'orphanKilledAfter'>,
    steps: number,
    database = world.database,
  ) {
    this.#world = world;
    this.#key = world.key('app');
    this.#helperKilledEvery = plan.helperKilledEvery;
    const settings: AppSettings = {
      shipper: { ...world.plan.shipper, database, replica: world.replica },
      syncEvery: plan.syncEvery === Infinity ? null : plan.syncEvery,
      snapshotAfter: plan.snapshotAfter,
    };
    for (const kill of plan.kills) this.#arm(kill);
    this.#process = new Process(
      [process.execPath, APP, database, plan.library, JSON.stringify(settings)],
      this.#key,
      (word) => {
        this.#hear(word);
      },
    );
    world.note('app started', { key: this.#key, library: plan.library, manner: plan.manner });
    this.#manner = plan.manner;
    this.#random = new Seeded(plan.seed);
    this.work(steps);
  }

  /** Gives it more to do. */
  work(steps: number): void {
    this.#process.send(...script(this.#manner, this.#random, this.#world.plan.database, steps));
  }

  get running(): boolean {
    return this.#process.running;
  }

  get helperRuns(): boolean {
    return [...this.#helpers].some((pid) => isHelper(pid, this.#key));
  }

  /** Kills what is alive of the victim; `point` is told in the figures. */
  kill(victim: Victim, point?: string): void {
    const { figures } = this.#world;
    let killed = false;
    if (victim !== 'app') {
      for (const pid of this.#helpers) {
        if (!killHelper(pid, this.#key)) continue;
        this.#helpers.delete(pid);
        figures.kills.helper++;
        killed = true;
      }
    }
    if (victim !== 'helper' && this.#process.kill()) {
      figures.kills.app++;
      killed = true;
    }
    if (!killed) return;
    if (point !== undefined) count(figures.points, point);
    this.#world.note('killed', { victim, key: this.#key, ...(point !== undefined && { point }) });
  }

  /** Lets the script end, and the app with it. */
  finish(): void {
    this.#process.finish();
  }

  /** Resolves when the shipper stands or the app is dead; at the latest after `limit` milliseconds. */
  async untilReady(limit: number): Promise<void> {
    await this.#wait(() => this.ready, limit);
  }

  async untilStopped(limit: number): Promise<void> {
    await this.#wait(() => this.stopped, limit);
    if (!this.stopped && !this.#world.over.signal.aborted) {
      this.#world.fail(
        new Finding(`the app did not come to its end within ${limit} ms, though nothing was in its way`),
      );
    }
    await this.#process.ended;
  }

  async untilHelperEnds(limit: number): Promise<void> {
    await until(() => !this.helperRuns || this.#world.over.signal.aborted, limit).catch(() => {
      this.#world.fail(new Finding(`the helper of a dead app did not end within ${limit} ms`));
    });
  }

  async untilDead(limit: number): Promise<void> {
    await this.#wait(() => false, limit);
  }

  /** Ends all that is left of it. */
  async end(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    for (const rule of this.#rules) rule.remove();
    this.kill('both');
    await this.#process.ended;
    // A helper that was made just before the app died was never heard of; it ends by itself, without a start.
    const { failure } = this.#process;
    if (failure !== undefined) this.#world.fail(new Finding(`the app ${failure}`));
  }

  /** Waits until `done`, or the app is dead, or the time is up. */
  async #wait(done: () => boolean, limit: number): Promise<void> {
    const end = performance.now() + limit;
    while (!done() && this.running && performance.now() < end && !this.#world.over.signal.aborted) await sleep(10);
  }

  #arm({ victim, moment }: Kill): void {
    if ('point' in moment) {
      const strike = (): void => {
        this.kill(victim, moment.point);
      };
      this.#rules.push(this.#world.server.faults.add(killRule(moment.point, moment.nth, this.#key, strike)));
      return;
    }
    const arm = (): void => {
      this.#killAfter(victim, moment.after);
    };
    if (moment.since === 'spawned') arm();
    else this.#onReady.push(arm);
  }

  #killAfter(victim: Victim, milliseconds: number): void {
    this.#timers.push(
      setTimeout(() => {
        this.kill(victim);
      }, milliseconds),
    );
  }

  #hear(word: AppWord): void {
    const world = this.#world;
    if ('helper' in word) {
      this.#helpers.add(word.helper);
      if (this.#helperKilledEvery !== undefined) this.#killAfter('helper', this.#helperKilledEvery);
    } else if ('ready' in word) {
      this.ready = true;
      world.note('ready', { key: this.#key });
      for (const arm of this.#onReady.splice(0)) arm();
    } else if ('safe' in word) {
      world.promises.note(word.safe, word.at);
      world.figures.promises++;
      world.note('safe', word);
    } else if ('stopped' in word) this.stopped = true;
    else if ('event' in word) {
      world.note('event', { key: this.#key, ...word.event });
      const { event } = word;
      if (event.type === 'resumed') count(world.figures.resumed, `${event.cause}: ${event.way}`);
      if (event.type === 'lost' && !this.#mayLose(event.cause)) {
        world.fail(new Finding(`continuity was lost: ${event.cause}, ${event.message}`));
      }
      if (event.type === 'problem') this.#judge({ failed: 'sync', ...event.error });
      if (event.type === 'state' && event.state === 'failed') world.fail(new Finding('the shipper failed'));
    } else {
      world.note('failed', { key: this.#key, ...word });
      this.#judge(word);
    }
  }

  /** Staging may overflow, or a copy take over; nothing else may break the history. */
  #mayLose(cause: string): boolean {
    return cause.startsWith('staging-') || (cause === 'contested' && this.#world.takeover);
  }

  /** Whether a failure is one that the rack has brought about itself. */
  #judge({ failed, kind, code, message }: Omit<Failure, 'kind'> & { readonly kind: string }): void {
    if (kind === 'unreachable' || ORDINARY.has(code)) return;
    if (code === 'FENCED') {
      this.fenced = true;
      if (this.#world.takeover) return;
    }
    this.#world.fail(new Finding(`${failed}() of the app failed: ${kind}, ${code}: ${message}`));
  }
}
