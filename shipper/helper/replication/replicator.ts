/**
 * Replicates one database: looks at its WAL, ships what is new, keeps the promise of `sync()`, and reports its status.
 *
 * Two loops share the work: the look (every few milliseconds, local, synchronous) and the shipping (one upload at a
 * time, in order). If continuity is lost, the difference is shipped, or a new generation begins, with a named reason.
 */
import { SeawallError } from '../../../replica/terms/errors.ts';
import { codec as codecNamed, type Codec } from '../../../replica/format/codec.ts';
import { formatPosition } from '../../../replica/terms/position.ts';
import { abandonable } from '../../../replica/store/stoppable.ts';
import type { ShipperState, ShipperStatus, Synced } from '../../protocol.ts';
import type { BeginCause } from '../../reasons.ts';
import { beginShipping } from '../beginning/begin-shipping.ts';
import type { CapturedSegment } from '../capture/capture.ts';
import { ContinuityLost, losesFiles } from '../continuity-lost.ts';
import { Continuity } from './continuity.ts';
import { FollowedDatabase } from './followed-database.ts';
import { Follower } from '../capture/follower.ts';
import { HeldClaim } from '../upload/claim.ts';
import { Health } from './health.ts';
import { Heartbeat } from './heartbeat.ts';
import { holdLimits } from '../snapshot/held-snapshot.ts';
import type { LiveDatabase } from '../database/live-database.ts';
import { lastWait } from './last-wait.ts';
import { Pause } from './pause.ts';
import { SegmentShipping, type LostReplica } from '../upload/segment-shipping.ts';
import type { PollResult } from '../sharing/poll-schedule.ts';
import type { ReplicatorContext } from './replicator-context.ts';
import { replicatorStatus } from './replicator-status.ts';
import { Shipped } from './shipped.ts';
import { takeSnapshot } from '../snapshot/snapshot-on-request.ts';
import { SnapshotRequests } from './snapshot-requests.ts';
import { Staging } from '../capture/staging.ts';
import { stopLimit } from './stop-limit.ts';
import { SyncAnswers } from './sync-answers.ts';
import { Fenced, type UploadSettings } from '../upload/uploader.ts';

export class Replicator {
  readonly status: () => ShipperStatus;
  readonly #context: ReplicatorContext;
  readonly #codec: Codec;
  readonly #staging: Staging;
  readonly #abort = new AbortController();
  readonly #shipped = new Shipped();
  readonly #claim: HeldClaim;
  readonly #shipping: SegmentShipping;
  readonly #health: Health;
  readonly #heartbeat: Heartbeat;
  readonly #snapshots = new SnapshotRequests();
  readonly #pause = new Pause();
  readonly #database: FollowedDatabase;
  readonly #answers: SyncAnswers;
  /** Its signal ends the work of the present era; `#abort` ends everything. */
  readonly #continuity = new Continuity();
  /** One that objects are known to be missing of. */
  #lostGeneration: string | undefined;
  #urgent = false;
  #stopping = false;
  #running: Promise<unknown> | undefined;
  #firstFailure: ((error: unknown) => void) | undefined;

  constructor(context: ReplicatorContext) {
    // What hangs in the store holds no stop up.
    const store = abandonable(context.store, this.#abort.signal);
    this.#context = { ...context, store };
    const { settings, owner, clock } = context;
    this.#health = new Health(context.emit, () => clock.now());
    this.#heartbeat = new Heartbeat(store, settings.heartbeat, clock);
    this.#claim = new HeldClaim(store, owner);
    this.#shipping = new SegmentShipping(
      store,
      this.#claim,
      settings.heartbeat,
      this.#uploadSettings(this.#abort.signal),
      () => clock.steady(),
    );
    this.#codec = codecNamed(settings.codec, settings.zstdLevel);
    this.#staging = new Staging(`${settings.stateFolder}/staging`, {
      memory: 2 * settings.segmentSize + (1 << 20),
      disk: settings.stagingLimit,
    });
    this.#database = new FollowedDatabase(context.live, settings, clock, this.#health, (lost) => {
      this.#lose(lost);
    });
    const parts = {
      health: this.#health,
      database: this.#database,
      staging: this.#staging,
      continuity: this.#continuity,
      shipping: this.#shipping,
      shipped: this.#shipped,
    };
    this.#answers = new SyncAnswers(parts);
    this.status = () => replicatorStatus(context, parts);
  }

  /** Begins to replicate. Resolves once the replica is up to date, and rejects with the first failure. */
  async start(cause: BeginCause): Promise<void> {
    const settled = new Promise<void>((resolve, reject) => {
      this.#firstFailure = reject;
      this.#running = this.#run(cause, resolve);
    });
    await settled;
  }

  /**
   * Resolves when everything committed before the call is in the bucket, and the claim, read after that and after the
   * call, is this shipper's still.
   */
  sync(): Promise<Synced> {
    const synced = this.durable();
    this.#urgent = true;
    this.#pause.end();
    return synced;
  }

  /** The same, with the upload that is due anyway: none is begun for it. */
  durable(): Promise<Synced> {
    if (this.#health.over) return Promise.reject(this.#health.farewell());
    const durable = this.#answers.wait();
    if (this.#answers.due) this.#pause.end();
    return durable;
  }

  /** Makes a snapshot at the end of the present index. Resolves with its key. */
  snapshot(): Promise<string> {
    if (this.#health.over) return Promise.reject(this.#health.farewell());
    const made = this.#snapshots.ask();
    this.#pause.end();
    return made;
  }

  /** Ships what is committed, then ends. Throws `unreachable` (STOP_TIMEOUT) after `timeout` milliseconds. */
  async stop(timeout: number): Promise<void> {
    if (this.#health.over) {
      await this.#end(this.#health.state);
      return;
    }
    this.#database.ending();
    await lastWait(timeout, this.#database, this.#staging, this.#context);
    if (this.#database.live === undefined) {
      const why = this.#health.problem?.message ?? '';
      await this.#end('stopped');
      throw new SeawallError('refused', 'STOPPED_WAITING', `stopped while there was no database to follow: ${why}`);
    }
    const gaveUp = stopLimit(timeout, () => this.#health.problem);
    try {
      await Promise.race([this.sync(), gaveUp]);
      if (this.#heartbeat.wanted) await Promise.race([this.#beat(), gaveUp]);
    } finally {
      await this.#end('stopped');
    }
  }

  async #end(state: ShipperState): Promise<void> {
    this.#stopping = true;
    this.#abortAll(new SeawallError('refused', 'STOPPED', 'the shipper was stopped'));
    this.#pause.end();
    await this.#running?.catch(() => undefined);
    this.#health.enter(state);
    this.#rejectAll(this.#health.farewell());
    this.#database.close();
  }

  async #run(cause: BeginCause, started: () => void): Promise<void> {
    const leave = this.#context.schedule.add(() => this.#look(), this.#context.settings.syncInterval / 2);
    try {
      await this.#begin(cause);
      while (!this.#stopping) {
        const passed = this.#context.clock.steady();
        this.#urgent = false;
        if (this.#continuity.lost !== undefined) await this.#begin(this.#continuity.lost.reason);
        if (this.#continuity.lost !== undefined) continue;
        started();
        await this.#shipCommitted();
        await this.#answer(this.#abort.signal);
        await this.#takeSnapshots();
        if (this.#heartbeat.due && (await this.#stands())) await this.#beat();
        await this.#pauseUntil(passed + this.#context.settings.syncInterval);
        if (this.#mayPause() && !this.#hasWork() && !this.#answers.unplaced && !this.#answers.due)
          await this.#pause.rest();
      }
    } catch (error) {
      if (!this.#stopping) this.#fail(error);
    } finally {
      leave();
    }
  }

  /** Pauses until a steady time, or until something is urgent. Those who wait for nothing but the answer get it meanwhile. */
  async #pauseUntil(time: number): Promise<void> {
    while (this.#mayPause()) {
      const left = time - this.#context.clock.steady();
      if (left <= 0) return;
      await this.#pause.take(left);
      if (this.#mayPause()) await this.#answer(this.#abort.signal);
    }
  }

  #look(): PollResult {
    try {
      const found = this.#database.look();
      if (this.#hasWork()) this.#pause.wake();
      return found;
    } catch (error) {
      this.#fail(error);
      return 'failed';
    }
  }

  #hasWork(): boolean {
    return this.#database.follower?.hasNews() === true || this.#staging.length > 0 || this.#heartbeat.due;
  }

  #mayPause(): boolean {
    return !this.#stopping && this.#continuity.lost === undefined && !this.#urgent && !this.#snapshots.waiting;
  }

  /** Resumes the generation or starts one; tries until that succeeds or continuity is lost again. */
  async #begin(cause: BeginCause): Promise<void> {
    if (losesFiles(cause)) {
      await this.#shipStaged(this.#abort.signal); // what was captured of the former file is history
      await this.#database.findAgain(this.#abort.signal);
    }
    const { settings, clock } = this.#context;
    const { live } = this.#database;
    if (live === undefined) return; // it was lost again
    this.#staging.clear();
    this.#continuity.begin();
    if (this.#stopping) return;
    const { era, signal } = this.#continuity;
    this.#health.enter('snapshotting');
    try {
      const started = await beginShipping(
        { ...this.#context, live },
        {
          cause,
          claim: this.#claim,
          lost: this.#lostGeneration,
          isRestart: this.#context.isRestart || era > 1,
          newest: this.#shipped.end?.point.state.time ?? 0,
          codec: this.#codec,
          signal,
          upload: this.#uploadSettings(signal),
          onBlocked: this.#health.blocked,
        },
      );
      this.#health.succeeded('store');
      this.#shipping.began(started.watched);
      this.#lostGeneration = undefined;
      this.#shipped.began(era, started);
      this.#database.follow(new Follower(live, this.#staging, { ...settings, codec: this.#codec }, clock, started));
      this.#continuity.regained();
    } catch (error) {
      this.#database.lostBy(error);
      return;
    }
    this.#heartbeat.hurry();
    this.#health.enter('streaming');
    this.#answers.placeAll();
  }

  /** Ships what is committed by now. Later commits wait for the next pass, or each commit would cost a PUT. */
  async #shipCommitted(signal = this.#abort.signal): Promise<void> {
    const asked = this.#context.clock.steady();
    const goal = this.#answers.placeAll();
    while (goal !== undefined) {
      await this.#shipStaged(signal);
      const { follower } = this.#database;
      if (this.#stopping || follower === undefined) return;
      if (follower.captured(goal)) {
        if (this.#staging.length === 0) this.#shipped.everythingOf(asked);
        return;
      }
      if (!this.#database.capture()) return;
    }
  }

  /** Uploads everything that was captured so far. */
  async #shipStaged(signal: AbortSignal): Promise<void> {
    try {
      for (let segment = this.#staging.first(); segment !== undefined; segment = this.#staging.first()) {
        if (!(await this.#ship(segment, signal))) return;
      }
    } catch (error) {
      this.#database.lostBy(error);
    }
  }

  /** Returns false if this history cannot be continued after the segment. */
  async #ship(segment: CapturedSegment, signal: AbortSignal): Promise<boolean> {
    const { clock, emit } = this.#context;
    if (this.#isLost(await this.#shipping.ship(segment, signal))) return false;
    this.#health.succeeded('store');
    if (!this.#staging.done(segment)) return false; // staging was dropped meanwhile, so no segment follows
    this.#shipped.segment(this.#continuity.era, segment, clock.now());
    emit({
      type: 'segment',
      key: segment.key,
      position: formatPosition(segment.after),
      bytes: segment.bytes.length,
      frames: segment.frames,
    });
    return segment.endsOnCommit ? this.#answer(signal) : true;
  }

  /** Continuity is lost if the replica is: what was shipped does not count then. */
  #isLost(lost: LostReplica | undefined): boolean {
    if (lost === undefined) return false;
    if (lost.cause === 'replica-lost') this.#lostGeneration = this.#shipped.end?.point.generation;
    this.#database.lostBy(new ContinuityLost(lost.cause, lost.detail));
    return true;
  }

  /** Answers those whose commits are in the bucket, unless the replica is lost; false if it is. */
  async #answer(signal: AbortSignal): Promise<boolean> {
    return !this.#isLost(await this.#answers.give(signal));
  }

  /** Whether the replica is as it should be, as far as can be told now. */
  async #stands(): Promise<boolean> {
    try {
      return !this.#isLost(await this.#shipping.checkOnce());
    } catch (error) {
      if (error instanceof Fenced) throw error;
      this.#heartbeat.postpone();
      this.#health.failed('store', error, 1);
      return false;
    }
  }

  async #takeSnapshots(): Promise<void> {
    const { live, follower } = this.#database;
    if (!this.#snapshots.waiting || live === undefined || follower === undefined) return;
    const lost = await this.#snapshots.answer(() => this.#takeSnapshot(live, follower));
    if (lost !== undefined) this.#database.lostBy(lost);
  }

  async #takeSnapshot(live: LiveDatabase, follower: Follower): Promise<string> {
    const gone = await this.#shipping.checkClaim(this.#abort.signal);
    if (gone !== undefined) throw new ContinuityLost(gone, 'seen before a snapshot');
    const { signal } = this.#continuity;
    const { wholeReads } = this.#context;
    const { key, size } = await wholeReads.run(signal, () =>
      takeSnapshot({ ...this.#context, live }, follower, {
        codec: this.#codec,
        signal,
        wholeReads,
        limits: holdLimits(this.#context.settings),
        onBlocked: this.#health.blocked,
        shipCommitted: (held) => this.#shipCommitted(held),
        shipCaptured: (held) => this.#shipStaged(held),
      }),
    );
    this.#shipped.snapshot(size);
    return key;
  }

  /** Renews the head if everything is in the bucket. Shipping does not depend on it. */
  async #beat(): Promise<void> {
    const { end } = this.#shipped;
    // If continuity was just lost, there is no follower, and the last segment may end inside a transaction.
    const settled = this.#database.follower?.hasNews() === false;
    if (end === undefined || this.#staging.length > 0 || !settled) return;
    try {
      await this.#heartbeat.beat(end.point);
    } catch (error) {
      this.#health.failed('store', error, 1);
    }
  }

  #uploadSettings(signal: AbortSignal): UploadSettings {
    return {
      retryMax: this.#context.settings.retryMax,
      signal,
      onFailure: (error, failures) => {
        this.#health.failed('store', error, failures);
        if (this.#shipped.end === undefined && this.#firstFailure !== undefined) {
          this.#firstFailure(error);
          this.#firstFailure = undefined;
        }
      },
    };
  }

  #lose(lost: ContinuityLost): void {
    if (!this.#continuity.lose(lost)) return;
    // What was captured of files that were let go is history, and is still shipped. All else cannot be continued.
    if (!losesFiles(lost.reason)) this.#staging.clear();
    this.#context.emit({ type: 'lost', cause: lost.reason, message: lost.message });
    this.#answers.unplace();
    this.#pause.end();
  }

  #fail(error: unknown): void {
    this.#health.ended(error, error instanceof Fenced ? 'fenced' : 'failed');
    this.#stopping = true;
    this.#abortAll(error);
    this.#rejectAll(error);
    this.#firstFailure?.(error);
  }

  #abortAll(reason: unknown): void {
    this.#abort.abort(reason);
    this.#continuity.end(reason);
  }

  #rejectAll(error: unknown): void {
    this.#answers.rejectAll(error);
    this.#snapshots.rejectAll(error);
  }
}
