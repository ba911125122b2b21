/**
 * Replicates one database: looks at its WAL, ships what is new, keeps the promise of `sync()`, and tells how it is.
 *
 * Two loops share the work: the look (every few milliseconds, local, synchronous) and the shipping (one upload at a
 * time, in order). Whatever breaks continuity ends in a new generation with a named reason.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { SeawallError } from '../../replica/errors.ts';
import { codec as codecNamed, type Codec } from '../../replica/format/codec.ts';
import { formatPosition } from '../../replica/position.ts';
import type { Store } from '../../replica/store/store.ts';
import type { Settings } from '../options.ts';
import type { ShipperEvent, ShipperState, ShipperStatus, Synced } from '../protocol.ts';
import { beginShipping } from './begin-shipping.ts';
import { ContinuityLost, type CapturedSegment } from './capture.ts';
import { Follower } from './follower.ts';
import type { Owner } from './generation-start.ts';
import type { LiveDatabase } from './live-database.ts';
import { Health } from './health.ts';
import { Heartbeat } from './heartbeat.ts';
import { Pause } from './pause.ts';
import { SegmentShipping } from './segment-shipping.ts';
import { Shipped } from './shipped.ts';
import { takeSnapshot } from './snapshot-on-request.ts';
import { Staging } from './staging.ts';
import { SyncWaiters, type Place } from './sync-waiters.ts';
import { Fenced, type UploadSettings } from './uploader.ts';

/** Milliseconds between two looks at the WAL. A look that finds nothing reads 136 bytes. */
const LOOK_INTERVAL = 40;

export interface ReplicatorContext {
  readonly settings: Settings;
  readonly store: Store;
  readonly live: LiveDatabase;
  readonly owner: Owner;
  readonly now: () => number;
  readonly emit: (event: ShipperEvent) => void;
}

export class Replicator {
  readonly #context: ReplicatorContext;
  readonly #codec: Codec;
  readonly #staging: Staging;
  readonly #abort = new AbortController();
  #follower: Follower | undefined;
  #era = 0;
  readonly #shipped = new Shipped();
  readonly #shipping: SegmentShipping;
  readonly #health: Health;
  readonly #heartbeat: Heartbeat;
  readonly #waiters = new SyncWaiters();
  readonly #pause = new Pause();
  #urgent = false;
  #stopping = false;
  #running: Promise<unknown> | undefined;
  #lost: string | undefined;
  #firstFailure: ((error: unknown) => void) | undefined;
  #snapshotAsked: { readonly resolve: (key: string) => void; readonly reject: (error: unknown) => void }[] = [];

  constructor(context: ReplicatorContext) {
    this.#context = context;
    const { settings, store, owner } = context;
    this.#health = new Health(context.emit);
    this.#heartbeat = new Heartbeat(store, settings.heartbeat, context.now);
    this.#shipping = new SegmentShipping(store, owner, this.#uploadSettings());
    this.#codec = codecNamed(settings.codec, settings.zstdLevel);
    this.#staging = new Staging(`${settings.stateFolder}/staging`, {
      memory: 2 * settings.segmentSize + (1 << 20),
      disk: settings.stagingLimit,
    });
  }

  /** Begins to replicate. Resolves when the first snapshot is in the bucket or the first failure is known. */
  async start(reason: string): Promise<void> {
    const settled = new Promise<void>((resolve, reject) => {
      this.#firstFailure = reject;
      this.#running = this.#run(reason, resolve);
    });
    await settled;
  }

  /** Resolves when everything committed before the call is in the bucket. */
  sync(): Promise<Synced> {
    if (this.#health.over) return Promise.reject(this.#health.farewell());
    const synced = this.#waiters.wait(this.#committed());
    this.#reached();
    this.#urgent = true;
    this.#pause.end();
    return synced;
  }

  /** The end of everything committed by now; undefined while there is no generation to measure by. */
  #committed(): Place | undefined {
    if (this.#follower === undefined || this.#lost !== undefined) return undefined;
    try {
      return { era: this.#era, ...this.#follower.committed() };
    } catch (error) {
      if (!(error instanceof ContinuityLost)) throw error;
      this.#lose(error.reason);
      return undefined;
    }
  }

  /** Makes a snapshot at the end of the present index; answers its key. */
  snapshot(): Promise<string> {
    if (this.#health.over) return Promise.reject(this.#health.farewell());
    return new Promise((resolve, reject) => {
      this.#snapshotAsked.push({ resolve, reject });
      this.#pause.end();
    });
  }

  status(): ShipperStatus {
    const { settings } = this.#context;
    const blockedBy = this.#follower?.blockedBy;
    return {
      state: this.#health.state,
      database: settings.database,
      replica: settings.replica,
      ...this.#shipped.facts(),
      behind: this.#follower === undefined || this.#staging.length > 0 || this.#follower.hasNews(),
      staged: this.#staging.bytes,
      ...(blockedBy !== undefined && { blockedBy }),
      ...(this.#health.problem && { problem: this.#health.problem }),
      memory: process.memoryUsage.rss(),
      pid: process.pid,
    };
  }

  /** Ships what is committed, then ends. Gives up after `timeout` milliseconds; then says so by throwing. */
  async stop(timeout: number): Promise<void> {
    if (!this.#health.over) {
      const limit = AbortSignal.timeout(timeout);
      const gaveUp = new Promise<never>((_, reject) => {
        limit.addEventListener('abort', () => {
          const { problem } = this.#health;
          const why = problem === undefined ? '' : ` (${problem.message})`;
          reject(
            new SeawallError(
              'unreachable',
              'STOP_TIMEOUT',
              `not everything was uploaded within ${timeout} ms${why}; the rest is shipped at the next start`,
            ),
          );
        });
      });
      try {
        await Promise.race([this.sync(), gaveUp]);
        if (this.#heartbeat.wanted) await Promise.race([this.#beat(), gaveUp]);
      } finally {
        await this.#end('stopped');
      }
    } else {
      await this.#end(this.#health.state);
    }
  }

  async #end(state: ShipperState): Promise<void> {
    this.#stopping = true;
    this.#abort.abort(new SeawallError('refused', 'STOPPED', 'the shipper was stopped'));
    this.#pause.end();
    await this.#running?.catch(() => undefined);
    this.#health.enter(state);
    this.#rejectAll(this.#health.farewell());
  }

  async #run(reason: string, started: () => void): Promise<void> {
    const looking = this.#lookLoop();
    try {
      await this.#begin(reason);
      started();
      while (!this.#stopping) {
        const passed = performance.now();
        this.#urgent = false;
        if (this.#lost !== undefined) await this.#begin(this.#lost);
        await this.#shipCommitted();
        await this.#takeSnapshots();
        if (this.#heartbeat.due) await this.#beat();
        const left = passed + this.#context.settings.syncInterval - performance.now();
        if (left > 0 && this.#mayPause()) await this.#pause.take(left);
      }
    } catch (error) {
      if (!this.#stopping) this.#fail(error);
    }
    await looking;
  }

  #mayPause(): boolean {
    return !this.#stopping && this.#lost === undefined && !this.#urgent && this.#snapshotAsked.length === 0;
  }

  async #lookLoop(): Promise<void> {
    while (!this.#stopping) {
      if (this.#follower !== undefined && this.#lost === undefined) {
        try {
          if (this.#context.live.replaced()) throw replacedError(this.#context.settings.database);
          this.#follower.look();
        } catch (error) {
          if (error instanceof ContinuityLost) this.#lose(error.reason);
          else {
            this.#fail(error);
            return;
          }
        }
      }
      await sleep(LOOK_INTERVAL, undefined, { signal: this.#abort.signal }).catch(() => undefined);
    }
  }

  /** Goes on in the generation that is there, or starts one; again and again until it stands. */
  async #begin(cause: string): Promise<void> {
    const { live, settings, now } = this.#context;
    this.#follower = undefined;
    this.#staging.clear();
    this.#era++;
    this.#lost = undefined;
    this.#health.enter('snapshotting');
    const started = await beginShipping(this.#context, {
      cause,
      codec: this.#codec,
      signal: this.#abort.signal,
      upload: this.#uploadSettings(),
    });
    this.#health.succeeded();
    this.#shipping.claimed(started.point.index);
    this.#shipped.began(this.#era, started);
    this.#follower = new Follower(live, this.#staging, { ...settings, codec: this.#codec }, now, started);
    this.#heartbeat.hurry();
    this.#health.enter('streaming');
    this.#waiters.placeAll(this.#committed());
    this.#reached();
  }

  /** Ships what is committed by now. What comes meanwhile waits for the next pass, or each commit would cost a PUT. */
  async #shipCommitted(): Promise<void> {
    const goal = this.#committed();
    while (goal !== undefined) {
      await this.#shipStaged();
      const follower = this.#follower;
      if (this.#stopping || this.#lost !== undefined || follower === undefined || follower.captured(goal)) return;
      try {
        if (follower.capture() === 'overflow') throw new ContinuityLost('staging-full', 'staging is full');
      } catch (error) {
        if (!(error instanceof ContinuityLost)) throw error;
        this.#lose(error.reason);
        return;
      }
    }
  }

  async #ship(segment: CapturedSegment): Promise<void> {
    const { now, emit } = this.#context;
    if ((await this.#shipping.ship(segment)) === 'contested') {
      this.#lose('contested');
      return;
    }
    this.#health.succeeded();
    if (this.#lost !== undefined) return; // staging was dropped meanwhile; what this segment was is history now
    this.#staging.shift();
    this.#shipped.segment(this.#era, segment, now());
    emit({
      type: 'segment',
      key: segment.key,
      position: formatPosition(segment.after),
      bytes: segment.bytes.length,
      frames: segment.frames,
    });
    if (segment.endsOnCommit) this.#reached();
  }

  async #takeSnapshots(): Promise<void> {
    const asked = this.#snapshotAsked;
    if (asked.length === 0 || this.#follower === undefined || this.#lost !== undefined) return;
    this.#snapshotAsked = [];
    try {
      await this.#shipping.checkClaim();
      const written = await takeSnapshot(this.#context, this.#follower, {
        codec: this.#codec,
        signal: this.#abort.signal,
        shipCaptured: () => this.#shipStaged(),
      });
      this.#shipped.snapshot(written.size);
      for (const { resolve } of asked) resolve(written.key);
    } catch (error) {
      for (const { reject } of asked) reject(error);
      if (error instanceof ContinuityLost) this.#lose(error.reason);
      else if (error instanceof SeawallError && error.code === 'SNAPSHOT_MISMATCH') this.#lose('checksum-mismatch');
      else if (error instanceof Fenced) throw error;
    }
  }

  /** Puts everything into the bucket that was captured so far. */
  async #shipStaged(): Promise<void> {
    for (;;) {
      const segment = this.#staging.first();
      if (segment === undefined || this.#stopping || this.#lost !== undefined) return;
      await this.#ship(segment);
    }
  }

  /** Renews the head when everything is in the bucket. Shipping does not depend on it. */
  async #beat(): Promise<void> {
    const { end } = this.#shipped;
    if (end === undefined || this.#staging.length > 0 || this.#follower?.hasNews() === true) return;
    try {
      await this.#heartbeat.beat(end.point);
    } catch (error) {
      this.#health.failed(error, 1);
    }
  }

  #uploadSettings(): UploadSettings {
    return {
      retryMax: this.#context.settings.retryMax,
      signal: this.#abort.signal,
      onFailure: (error, failures) => {
        this.#health.failed(error, failures);
        if (this.#shipped.end === undefined && this.#firstFailure !== undefined) {
          this.#firstFailure(error);
          this.#firstFailure = undefined;
        }
      },
    };
  }

  #lose(reason: string): void {
    this.#lost ??= reason;
    this.#waiters.unplace();
    this.#pause.end();
  }

  #reached(): void {
    const synced = this.#shipped.synced();
    if (synced !== undefined) this.#waiters.reached(this.#shipped.end!, synced);
  }

  #fail(error: unknown): void {
    this.#health.ended(error, error instanceof Fenced ? 'fenced' : 'failed');
    this.#stopping = true;
    this.#abort.abort(error);
    this.#rejectAll(error);
    this.#firstFailure?.(error);
  }

  #rejectAll(error: unknown): void {
    this.#waiters.rejectAll(error);
    for (const { reject } of this.#snapshotAsked.splice(0)) reject(error);
  }
}

function replacedError(path: string): SeawallError {
  return new SeawallError(
    'refused',
    'DATABASE_REPLACED',
    `${path} (or its -shm) was replaced by another file while it was shipped. Stop and start the shipper to go on with the new one.`,
    { path },
  );
}
