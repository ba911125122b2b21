/** Cuts one WAL index into segments at random places and writes them, as a shipper does. */
import { codec as codecNamed } from '../../replica/format/codec.ts';
import { encodeSegment, type Mark } from '../../replica/format/segment.ts';
import type { DatabaseState } from '../../replica/terms/database-state.ts';
import { segmentKey, type CodecName } from '../../replica/terms/layout.ts';
import type { Store } from '../../replica/store/store.ts';
import type { WalOrder } from '../../replica/wal/checksum.ts';
import { frameSize, parseWalHeader, WAL_HEADER_SIZE } from '../../replica/wal/format.ts';
import type { NewCommit } from './live-database.ts';
import { rechain } from './rechain.ts';
import type { Seeded } from './seeded.ts';

export interface CutOptions {
  /** Chance that a commit has no mark of its own. */
  readonly joined: number;
  /** Chance that a commit is marked as not restorable. */
  readonly notRestorable: number;
  /** Chance that a cut falls inside a transaction. */
  readonly midTransaction: number;
}

type CapturedState = DatabaseState & { restorable: boolean; marked: boolean };

interface Place {
  readonly store: Store;
  readonly generation: string;
  readonly index: number;
  readonly pageSize: number;
  readonly codec: CodecName;
}

export class IndexCutter {
  readonly #place: Place;
  readonly #random: Seeded;
  readonly #options: CutOptions & { readonly order: WalOrder };
  readonly #raw: Buffer[] = [];
  readonly #marks: Mark[] = [];
  readonly #states = new Map<number, CapturedState>();
  #before: DatabaseState;

  constructor(place: Place, before: DatabaseState, random: Seeded, options: CutOptions & { readonly order: WalOrder }) {
    this.#place = place;
    this.#before = before;
    this.#random = random;
    this.#options = options;
  }

  /** Takes one commit; decides whether it may be restored, and later whether it is marked. */
  commit(commit: NewCommit, state: CapturedState): void {
    if (commit.restarted !== (this.#marks.length === 0)) throw new Error('the WAL did not restart where it should');
    this.#raw.push(commit.raw);
    this.#states.set(commit.end, state);
    state.restorable = !this.#random.chance(this.#options.notRestorable);
    this.#marks.push({
      offset: commit.end,
      pages: state.pages,
      checksum: state.checksum,
      time: state.time,
      restorable: state.restorable,
    });
  }

  /** Writes all segments. With `unfinished`, one more that holds frames of a transaction without its commit. */
  async finish(clock: ((time: number) => void) | undefined, unfinished = false): Promise<void> {
    // SQLite chooses salts at random, and adds one to the first with each restart; these give the same bytes for a seed.
    const wal = Buffer.concat(this.#raw);
    const salts = {
      salt1: (this.#random.seed + parseWalHeader(wal).sequence) >>> 0,
      salt2: Math.imul(this.#random.seed, 2654435761) >>> 0,
    };
    const { order } = this.#options;
    const raw = rechain(wal, order, { salts });
    const cuts = this.#cuts(raw.length);
    let from = 0;
    for (const to of cuts) {
      await this.#write(raw.subarray(from, to), from, clock);
      from = to;
    }
    if (unfinished) {
      const extra = rechain(raw, order, { unfinished: true });
      await this.#write(extra.subarray(raw.length), raw.length, clock);
    }
  }

  /** Ends of segments, ascending; the last one is the end of the index. */
  #cuts(length: number): number[] {
    const size = frameSize(this.#place.pageSize);
    const cuts = new Set<number>([length]);
    let start = 0;
    for (const { offset } of this.#marks) {
      if (this.#random.chance(0.4)) cuts.add(offset);
      const frames = (offset - start) / size;
      if (this.#random.chance(this.#options.midTransaction)) {
        for (let i = this.#random.range(1, 3); i > 0; i--) {
          const cut = Math.max(start, WAL_HEADER_SIZE) + this.#random.int(Math.floor(frames) + 1) * size;
          if (cut < offset) cuts.add(cut);
        }
      }
      start = offset;
    }
    cuts.delete(0);
    // A segment with only the WAL header is legal but rare.
    if (cuts.has(WAL_HEADER_SIZE) && this.#random.chance(0.9)) cuts.delete(WAL_HEADER_SIZE);
    return [...cuts].sort((a, b) => a - b);
  }

  async #write(raw: Buffer, offset: number, clock: ((time: number) => void) | undefined): Promise<void> {
    const { store, generation, index, pageSize, codec } = this.#place;
    const end = offset + raw.length;
    const all = this.#marks.filter((mark) => mark.offset > offset && mark.offset <= end);
    // A commit without a mark is restored by the proof of the next one. A commit that is not restorable keeps its mark.
    const marks = all.filter(
      (mark, i) => i === all.length - 1 || !mark.restorable || !this.#random.chance(this.#options.joined),
    );
    for (const mark of all) this.#states.get(mark.offset)!.marked = marks.includes(mark);
    const header = {
      generation,
      index,
      offset,
      pageSize,
      rawLength: raw.length,
      before: this.#before,
      marks,
      endsOnCommit: marks.at(-1)?.offset === end,
    };
    const last = all.at(-1);
    clock?.(last?.time ?? this.#before.time);
    const packing = header.marks.length % 2 === 0 ? 'quick' : 'tight'; // readers must not tell them apart
    const body = encodeSegment(header, raw, codecNamed(codec), packing);
    await store.put(segmentKey(generation, index, offset, codec), body, 'absent');
    if (last !== undefined) this.#before = { pages: last.pages, checksum: last.checksum, time: last.time };
  }
}
