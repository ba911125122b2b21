/**
 * Puts segments into the bucket, in order, each exactly once.
 *
 * Every key is created, never replaced. If a key already exists, its bytes decide: the same WAL bytes are this history
 * (an acknowledgement was lost, or an earlier helper got this far); anything else is another writer's.
 */
import { isKind, SeawallError } from '../../../replica/terms/errors.ts';
import { decodeSegment, parseSegmentHeader } from '../../../replica/format/segment.ts';
import { CLAIM_KEY, parseKey } from '../../../replica/terms/layout.ts';
import { retry } from '../../../replica/runtime/retry.ts';
import type { Store } from '../../../replica/store/store.ts';
import { ContinuityLost } from '../continuity-lost.ts';
import type { CapturedSegment } from '../capture/capture.ts';

/** Another shipper owns the replica; this one must stop. */
export class Fenced extends SeawallError {
  constructor(message: string, key: string) {
    super('conflict', 'FENCED', message, { key });
  }
}

/** A key holds other bytes than this shipper was to write there. Whose replica it is the claim tells. */
export class KeyTaken extends Fenced {}

/** The claim is another shipper's. */
export function takenOver(holder = 'unknown'): Fenced {
  return new Fenced(`another shipper (${holder}) took the replica over; this one stops`, CLAIM_KEY);
}

export interface UploadSettings {
  /** The longest pause between two attempts, in milliseconds. */
  readonly retryMax: number;
  readonly signal: AbortSignal;
  /** Called after each failed attempt, with the number of failures in a row and the pause in milliseconds. */
  readonly onFailure: (error: unknown, failures: number, delay: number) => void;
}

/** Uploads one segment; tries as long as it takes. Throws {@link Fenced}, or the signal's reason. */
export async function uploadSegment(store: Store, segment: CapturedSegment, settings: UploadSettings): Promise<void> {
  await retryForever(settings, async () => {
    try {
      await store.put(segment.key, segment.bytes, 'absent');
    } catch (error) {
      if (!isKind(error, 'conflict')) throw error;
      await adopt(store, segment);
    }
  });
}

/**
 * Repeats an operation until it succeeds, with longer and longer pauses. Throws {@link Fenced},
 * {@link ContinuityLost}, or the signal's reason.
 */
export function retryForever<T>(settings: UploadSettings, operation: () => Promise<T>): Promise<T> {
  return retry(operation, {
    attempts: Number.POSITIVE_INFINITY,
    baseMs: Math.min(250, settings.retryMax),
    capMs: settings.retryMax,
    signal: settings.signal,
    retryable: (error) => !(error instanceof Fenced) && !(error instanceof ContinuityLost),
    onRetry: settings.onFailure,
  });
}

/** Accepts an existing object if it holds the same bytes of the same WAL. Throws {@link Fenced} otherwise. */
async function adopt(store: Store, segment: CapturedSegment): Promise<void> {
  const { body } = await store.get(segment.key);
  const name = parseKey(segment.key);
  const found = parseSegmentHeader(body);
  const ours = parseSegmentHeader(segment.bytes);
  if (found !== undefined && ours !== undefined && !('needs' in found) && !('needs' in ours) && name !== undefined) {
    const same = decodeSegment(body, found, name.codec).equals(decodeSegment(segment.bytes, ours, name.codec));
    if (same) return;
  }
  throw new KeyTaken(`${segment.key} was written by another shipper; this one stops`, segment.key);
}
