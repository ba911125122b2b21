/** What is in the bucket, and how much was uploaded. */
import { formatChecksum } from '../../../replica/format/page-hashes.ts';
import { formatPosition } from '../../../replica/terms/position.ts';
import type { ShipperStatus, Synced } from '../../protocol.ts';
import type { NewGenerationReason } from '../../reasons.ts';
import type { Begun } from '../beginning/begin-shipping.ts';
import type { CapturedSegment, CapturePoint } from '../capture/capture.ts';
import type { Place } from './sync-waiters.ts';

type Facts = 'generation' | 'reason' | 'position' | 'checksum' | 'committed' | 'uploaded';
type Counts = 'segments' | 'snapshots' | 'bytes';

export class Shipped {
  #end: (Place & { readonly point: CapturePoint }) | undefined;
  #reason: NewGenerationReason | undefined;
  #at: number | undefined;
  #everythingOf: number | undefined;
  #segments = 0;
  #snapshots = 0;
  #bytes = 0;

  /** The end of what is in the bucket; undefined before the first state is. */
  get end(): (Place & { readonly point: CapturePoint }) | undefined {
    return this.#end;
  }

  /** A generation was started or is continued. */
  began(era: number, { point, reached, reason, segments, snapshots, bytes }: Begun): void {
    this.#end = { era, index: point.index, offset: 0, point: reached };
    this.#reason = reason ?? this.#reason;
    this.#segments += segments;
    this.#snapshots += snapshots;
    this.#bytes += bytes;
  }

  segment(era: number, { index, end, after, bytes }: CapturedSegment, now: number): void {
    this.#end = { era, index, offset: end, point: after };
    this.#at = now;
    this.#segments++;
    this.#bytes += bytes.length;
  }

  /** Everything that was committed at this moment is in the bucket; steady milliseconds. */
  everythingOf(moment: number): void {
    this.#everythingOf = moment;
  }

  /** Everything committed so many milliseconds ago is in the bucket; undefined if nothing is known to be. */
  lag(behind: boolean, now: number): number | undefined {
    if (this.#everythingOf === undefined) return undefined;
    return behind ? now - this.#everythingOf : 0;
  }

  /** `size` in bytes, 0 if the snapshot was already there. */
  snapshot(size: number): void {
    if (size > 0) this.#snapshots++;
    this.#bytes += size;
  }

  /** What `sync()` returns for the end of what is in the bucket. */
  synced(): Synced | undefined {
    return this.#end && told(this.#end.point);
  }

  facts(): Pick<ShipperStatus, Facts | Counts> {
    return {
      ...(this.#end && {
        generation: this.#end.point.generation,
        ...told(this.#end.point),
        committed: this.#end.point.state.time,
      }),
      ...(this.#reason !== undefined && { reason: this.#reason }),
      ...(this.#at !== undefined && { uploaded: this.#at }),
      segments: this.#segments,
      snapshots: this.#snapshots,
      bytes: this.#bytes,
    };
  }
}

function told(point: CapturePoint): Synced {
  return { position: formatPosition(point), checksum: formatChecksum(point.state.checksum) };
}
