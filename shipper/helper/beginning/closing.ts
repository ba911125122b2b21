/**
 * Closing a generation that will not be continued: its two next keys are taken, so that a former shipper that is still at
 * work in it stops at its next upload, and a PUT of a dead one that arrives late finds its key taken.
 */
import { GenerationReader } from '../../../replica/plan/generation-reader.ts';
import { planLatest } from '../../../replica/plan/plan.ts';
import { codec as codecNamed } from '../../../replica/format/codec.ts';
import { openPages } from '../../../replica/image/by-page/page-reader.ts';
import { readReplicaEnd } from '../../../replica/takeover/replica-end.ts';
import type { Store } from '../../../replica/store/store.ts';
import { listGeneration } from '../../../replica/catalogue/listing.ts';
import { comparePlaces, type Place } from '../../../replica/terms/position.ts';
import { isKind } from '../../../replica/terms/errors.ts';
import type { CapturedSegment } from '../capture/capture.ts';
import { KeyTaken } from '../upload/uploader.ts';
import { closingSegments } from './difference.ts';

/** Which page is written once more; every database has it. */
const PAGE = 1;

/**
 * Takes the two next keys of a generation, under a claim that is this shipper's already. Answers the time of the newest
 * state in it, milliseconds since 1970; undefined if there is none, or none that can be read: then only the claim keeps
 * a former shipper from answering `sync()`. Throws what the store throws.
 *
 * @param check throws if the claim is another's meanwhile
 */
export async function closeGeneration(
  store: Store,
  id: string,
  upload: (segment: CapturedSegment) => Promise<void>,
  check: () => Promise<unknown>,
): Promise<number | undefined> {
  let reached: Place | undefined;
  for (;;) {
    try {
      const generation = await listGeneration(store, id);
      if (generation === undefined || generation.snapshots.length === 0) return undefined;
      const end = await readReplicaEnd(store, generation);
      // A listing that lacks the key that was taken: nothing is gained by asking at once again.
      if (reached !== undefined && comparePlaces(reached, end) >= 0) return end.state.time;
      reached = end;
      // Inside a transaction there is nothing that could be written without its pages.
      if (end.unfinished) return end.state.time;
      const past = await openPages(store, await planLatest(new GenerationReader(store, generation)));
      try {
        const content = await past.readPage(PAGE);
        const image = { pageSize: past.pageSize, read: () => content };
        const limits = { segmentSize: past.pageSize, codec: codecNamed(end.codec) };
        for (const segment of closingSegments(image, end, PAGE, limits)) await upload(segment);
      } finally {
        await past.close();
      }
      return end.state.time;
    } catch (error) {
      if (error instanceof KeyTaken) await check();
      else if (isKind(error, 'corrupt', 'missing', 'unsupported', 'point', 'refused')) return undefined;
      else throw error;
    }
  }
}
