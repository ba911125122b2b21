/** Begins to ship: continues the generation in the bucket, or starts a new one if that is impossible. */
import type { Codec } from '../../../replica/format/codec.ts';
import type { PageHashes } from '../../../replica/format/page-hashes.ts';
import type { Store } from '../../../replica/store/store.ts';
import type { Clock } from '../../clock.ts';
import type { Settings } from '../../options.ts';
import type { ShipperEvent } from '../../protocol.ts';
import type { BeginCause, NewGenerationReason } from '../../reasons.ts';
import type { CapturedSegment, CapturePoint } from '../capture/capture.ts';
import type { Boundary } from '../capture/boundary.ts';
import { startGeneration } from './generation-start.ts';
import { ClaimRenewed, type HeldClaim } from '../upload/claim.ts';
import { holdLimits, type HoldSettings } from '../snapshot/held-snapshot.ts';
import type { LiveDatabase } from '../database/live-database.ts';
import { resumeGeneration } from './resume.ts';
import type { Watched } from '../upload/replica-watch.ts';
import { retryForever, uploadSegment, type UploadSettings } from '../upload/uploader.ts';
import type { FairSemaphore } from '../sharing/fair-semaphore.ts';

export interface Begun {
  /** Where capture continues, and the end of what is in the bucket. */
  readonly point: CapturePoint;
  readonly reached: CapturePoint;
  readonly hashes: PageHashes;
  readonly boundary: Boundary;
  /** What is to be in the bucket from now on. */
  readonly watched: Watched;
  /** Why a new generation was started; absent when the old one goes on. */
  readonly reason?: NewGenerationReason;
  /** What was uploaded. */
  readonly segments: number;
  readonly snapshots: number;
  readonly bytes: number;
}

/** Tries as long as it takes. Throws Fenced, or the signal's reason. */
export async function beginShipping(
  context: {
    readonly live: LiveDatabase;
    readonly store: Store;
    readonly wholeReads: FairSemaphore;
    readonly settings: Settings;
    readonly clock: Clock;
    readonly emit: (event: ShipperEvent) => void;
  },
  work: {
    readonly cause: BeginCause;
    readonly claim: HeldClaim;
    /** A generation that objects are known to be missing of. */
    readonly lost: string | undefined;
    /** The time of the newest state that this shipper knows of, milliseconds since 1970. */
    readonly newest: number;
    /** The replica was this owner's before, and must be so still. */
    readonly isRestart: boolean;
    readonly codec: Codec;
    readonly signal: AbortSignal;
    readonly upload: UploadSettings;
    /** See {@link HoldSettings}. */
    readonly onBlocked: HoldSettings['onBlocked'];
  },
): Promise<Begun> {
  const { live, store, emit, settings, clock } = context;
  const { cause, codec, signal } = work;
  const from = clock.steady();
  const milliseconds = (): number => Math.round(clock.steady() - from);
  const upload = (segment: CapturedSegment, held: AbortSignal): Promise<void> =>
    uploadSegment(store, segment, { ...work.upload, signal: held });
  const common = {
    codec,
    signal,
    clock,
    claim: work.claim,
    upload,
    checkClaim: (held: AbortSignal) => retryForever({ ...work.upload, signal: held }, () => work.claim.check()),
    isRestart: work.isRestart,
    wholeReads: context.wholeReads,
    limits: holdLimits(settings),
    onBlocked: work.onBlocked,
  };
  const onProgress = (done: number, total: number): void => {
    emit({ type: 'progress', what: 'snapshot', done, total });
  };
  /** Why the first attempt could not continue the generation. */
  let first: NewGenerationReason | undefined;
  // A failed attempt may have put something into the bucket, such as a snapshot that arrived late, for the next to
  // continue.
  const begin = async (): Promise<Begun> => {
    const resumed = await resumeGeneration(live, store, {
      ...common,
      segmentSize: settings.segmentSize,
      lost: work.lost,
    });
    if (resumed.kind === 'resumed') {
      const { point, reached, hashes, boundary, way, differing, uploaded, bytes, end } = resumed;
      const { generation } = point;
      emit({ type: 'resumed', generation, cause, way, pages: differing, bytes, milliseconds: milliseconds() });
      const segments = [...end.segments, ...uploaded];
      const watched = { generation, codec: end.codec, base: end.base, segments };
      return { point, reached, hashes, boundary, watched, segments: uploaded.length, snapshots: 0, bytes };
    }
    const reason = (resumed.reason === 'generation-without-snapshot' ? first : undefined) ?? resumed.reason;
    first = reason;
    const notBefore = Math.max(work.newest, resumed.newest);
    const started = await startGeneration(live, store, { ...common, reason, notBefore, onProgress });
    const { point, hashes, boundary, snapshot } = started;
    const { generation, state } = point;
    emit({ type: 'generation', generation, cause, reason, pages: state.pages, milliseconds: milliseconds() });
    const watched = { generation, codec: codec.name, base: { index: 0, codec: codec.name }, segments: [] };
    const { size: bytes } = snapshot;
    return { point, reached: point, hashes, boundary, watched, reason, segments: 0, snapshots: 1, bytes };
  };
  const attempt = async (): Promise<Begun> => {
    for (;;) {
      try {
        return await begin();
      } catch (error) {
        if (!(error instanceof ClaimRenewed)) throw error;
        signal.throwIfAborted();
      }
    }
  };
  // Each attempt takes a turn; during the pauses between them others have theirs.
  return retryForever(work.upload, () => context.wholeReads.run(signal, attempt));
}
