/**
 * Writes the blocks of a snapshot of ours into a file, in whatever order they come, side by side with the WAL: while
 * that is still read, threads already write blocks, without those pages that it is known to have by then. What the WAL's
 * writer writes or cuts off meanwhile waits for the blocks that were begun before, while no other begins.
 *
 * A thread does all from the request to the write: it gets a ticket (read-ticket.ts), reads the range into its own memory,
 * unpacks it, hashes its pages and writes them. Whatever fails there is done again by the main thread, which repeats,
 * resumes and names what is wrong. Starting is what a thread costs: some 60 ms of a processor, 40 of them Node.js' own.
 */
import { withKey } from '../../terms/errors.ts';
import { BLOCK_SIZE } from '../../format/block-size.ts';
import type { PageHashes } from '../../format/page-hashes.ts';
import { forEachConcurrent } from '../../runtime/for-each-concurrent.ts';
import { PAGE, unpackRun, type PackedBlock, type PackedRun } from './run-unpacking.ts';
import { RUNS_AHEAD, type BlockRun, type BlockSnapshot } from '../../objects/block-snapshot.ts';
import { TicketReader } from '../../store/read-ticket.ts';
import type { UnpackingPool } from './unpacking-pool.ts';
import type { BlocksBelow, WalWriter } from './wal-writer.ts';
import type { WriteProgress } from './write-progress.ts';
import type { PageFile } from './target-file.ts';

/** What a thread fetches by one request. */
const LONG_RUNS = { bytes: 2 << 20, blocks: 16 };
/** Runs under way in the main thread where there are others: one is fetched or written while one is unpacked. */
const RUNS_BESIDE_THREADS = 2;
/** So often in a row tickets may be of no use before none is asked for any more. */
const MOST_REFUSALS = 4;

/** What one lane of the main thread reads into, and writes from. */
interface LaneBuffers {
  stored: Buffer;
  readonly raw: Buffer;
}

export type Unpacking = Pick<UnpackingPool, 'lanes' | 'unpack'>;

export class BlockRestorer implements BlocksBelow, AsyncDisposable {
  readonly #snapshot: BlockSnapshot;
  readonly #file: PageFile;
  readonly #hashes: PageHashes;
  readonly #pool: Unpacking;
  readonly #progress: WriteProgress;
  readonly #runs: Generator<BlockRun>;
  readonly #reader = new TicketReader();
  readonly #rooms: LaneBuffers[] = [];
  #wal: WalWriter | undefined;
  /** Pages behind this one are not the snapshot's. */
  #last = Number.MAX_SAFE_INTEGER;
  /** The last page of the blocks that were begun before the WAL was read. */
  #begun = 0;
  #reach = 0;
  /** The writing of blocks while the WAL is read. */
  #early: Promise<void> = Promise.resolve();
  #earlyUnderWay = false;
  #walEnded = false;
  readonly #underWay = new Set<Promise<unknown>>();
  #paused: PromiseWithResolvers<undefined> | undefined;
  /** What threads could not do before the WAL was read. */
  readonly #again: BlockRun[] = [];
  /** Tickets in a row that were of no use. */
  #refusals = 0;

  constructor(snapshot: BlockSnapshot, file: PageFile, hashes: PageHashes, pool: Unpacking, progress: WriteProgress) {
    this.#snapshot = snapshot;
    this.#file = file;
    this.#hashes = hashes;
    this.#pool = pool;
    this.#progress = progress;
    const { blockPages } = snapshot.footer;
    const wanted = (block: number): boolean => block * blockPages < this.#last;
    this.#runs = pool.lanes === 0 ? snapshot.runs(wanted) : snapshot.runs(wanted, LONG_RUNS);
  }

  get reach(): number {
    return this.#reach;
  }

  limit(pages: number): void {
    this.#last = Math.min(this.#last, pages);
    this.#reach = Math.min(this.#reach, pages);
  }

  async pause(): Promise<void> {
    this.#paused ??= Promise.withResolvers<undefined>();
    await Promise.allSettled(this.#underWay);
  }

  resume(): void {
    this.#paused?.resolve(undefined);
    this.#paused = undefined;
  }

  /** Sets the threads to work, before the WAL has been read. `wal`: the writer of that, once there is one. */
  begin(wal: () => WalWriter | undefined): void {
    this.#earlyUnderWay = true;
    const written = forEachConcurrent(this.#earlyRuns(), this.#pool.lanes, async (run) => {
      while (this.#paused !== undefined) await this.#paused.promise;
      if (this.#walEnded) {
        this.#again.push(run);
        return;
      }
      this.#wal = wal();
      const { blockPages } = this.#snapshot.footer;
      this.#begun = Math.min((run.last + 1) * blockPages, this.#snapshot.facts.pages);
      this.#reach = Math.min(this.#begun, this.#last);
      const work = this.#writeEarly(run);
      this.#underWay.add(work);
      await work.finally(() => this.#underWay.delete(work));
    });
    this.#early = written.finally(() => (this.#earlyUnderWay = false));
  }

  /**
   * Writes all that is left, now that the WAL has been read; also blocks whose pages the WAL has all: those are few, and
   * damage in them had better be known. What the WAL's writer holds of other pages is written, too.
   */
  async finish(wal: WalWriter | undefined): Promise<void> {
    this.#walEnded = true;
    this.#wal = wal;
    const { facts, footer } = this.#snapshot;
    const covered = Math.min(facts.pages, Math.ceil(this.#last / footer.blockPages) * footer.blockPages);
    const threads = this.#pool.lanes;
    const main = threads === 0 ? RUNS_AHEAD : RUNS_BESIDE_THREADS;
    const write = async (run: BlockRun, lane: number): Promise<void> => {
      const packed = this.#pack(run, true);
      const hashes = (lane < threads ? await this.#unpackElsewhere(run, packed) : undefined) ?? (await this.#unpackHere(run, packed, this.#roomOf(lane))); // prettier-ignore
      this.#take(packed, hashes);
    };
    const begun = this.#begun;
    await forEachConcurrent(this.#meanwhile(), main, (run, lane) => write(run, threads + lane));
    await this.#early;
    await wal?.finish((page) => page > begun && page <= covered);
    await forEachConcurrent(this.#runs, threads + main, write);
    await forEachConcurrent(this.#again.splice(0), threads + main, write);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#walEnded = true;
    this.resume();
    await this.#early;
    this.#reader.close();
  }

  *#earlyRuns(): Generator<BlockRun> {
    while (!this.#walEnded && this.#refusals < MOST_REFUSALS) {
      const next = this.#runs.next();
      if (next.done === true) return;
      yield next.value;
    }
  }

  /** What there is to do while threads are at what they have begun with: they may not even have started. */
  *#meanwhile(): Generator<BlockRun> {
    while (this.#earlyUnderWay) {
      const next = this.#runs.next();
      if (next.done === true) return;
      yield next.value;
    }
  }

  /** Fails never: what does is left for later. */
  async #writeEarly(run: BlockRun): Promise<void> {
    const packed = this.#pack(run, false);
    const ticket = await this.#ticket(run).catch(() => undefined);
    const hashes = ticket && (await this.#pool.unpack(packed, ticket, this.#file.fd!));
    if (hashes === undefined) {
      this.#refusals++;
      this.#again.push(run);
      return;
    }
    this.#refusals = 0;
    this.#file.wrote?.(packed.pages.length * packed.pageSize);
    this.#take(packed, hashes);
  }

  /** @param patched whether pages that the WAL's writer holds are written with the block, or by that */
  #pack(run: BlockRun, patched: boolean): PackedRun {
    const snapshot = this.#snapshot;
    const { codec, blockPages } = snapshot.footer;
    const { pageSize } = snapshot.facts;
    const { offset, length } = snapshot.rangeOf(run);
    const blocks: PackedBlock[] = [];
    let count = 0;
    for (let block = run.first; block <= run.last; block++) {
      const { crc, length } = snapshot.table[block]!;
      const rawLength = snapshot.rawLength(block);
      blocks.push({ block, at: snapshot.offsets[block]! - offset, length, crc, rawLength });
      count += rawLength / pageSize;
    }
    const firstPage = run.first * blockPages + 1;
    const patches: Buffer[] = [];
    const pages = new Uint8Array(count).fill(PAGE.snapshot);
    for (let i = 0, page = firstPage; i < count; i++, page++) {
      if (this.#wal?.has(page) !== true) {
        if (page > this.#last) pages[i] = PAGE.passedOver;
        continue;
      }
      const held = patched ? this.#wal.held(page) : undefined;
      if (held !== undefined) patches.push(held);
      pages[i] = held === undefined ? PAGE.passedOver : PAGE.patched;
    }
    return { codec, pageSize, firstPage, length, blocks, pages, patches };
  }

  async #ticket(run: BlockRun): ReturnType<BlockSnapshot['ticket']> {
    return this.#refusals < MOST_REFUSALS ? this.#snapshot.ticket(run) : undefined;
  }

  async #unpackElsewhere(run: BlockRun, packed: PackedRun): Promise<BigUint64Array | undefined> {
    const { fd } = this.#file;
    const ticket = await this.#ticket(run);
    let hashes = ticket && (await this.#pool.unpack(packed, ticket, fd!));
    if (ticket !== undefined) this.#refusals = hashes === undefined ? this.#refusals + 1 : 0;
    hashes ??= await this.#pool.unpack(packed, await this.#snapshot.fetch(run), fd!);
    if (hashes !== undefined) this.#file.wrote?.(packed.pages.length * packed.pageSize);
    return hashes;
  }

  async #unpackHere(run: BlockRun, packed: PackedRun, room: LaneBuffers): Promise<BigUint64Array> {
    const read = await this.#read(run, packed, room);
    if (read !== undefined) {
      const hashes = await this.#unpack(packed, read, room).catch(() => undefined);
      if (hashes !== undefined) return hashes;
    }
    try {
      return await this.#unpack(packed, await this.#snapshot.fetch(run), room);
    } catch (error) {
      throw withKey(error, this.#snapshot.key);
    }
  }

  /** By a ticket: less work than what repeats and resumes, but it may fail. */
  async #read(run: BlockRun, { length }: PackedRun, room: LaneBuffers): Promise<Buffer | undefined> {
    const ticket = await this.#ticket(run);
    if (ticket === undefined) return undefined;
    if (room.stored.length < length) room.stored = Buffer.allocUnsafeSlow(length);
    const into = room.stored.subarray(0, length);
    try {
      await this.#reader.read(ticket, into);
      this.#refusals = 0;
      return into;
    } catch {
      this.#refusals++;
      return undefined;
    }
  }

  async #unpack(packed: PackedRun, stored: Buffer, room: LaneBuffers): Promise<BigUint64Array> {
    const hashes = new BigUint64Array(packed.pages.length);
    for (const { bytes, position } of unpackRun(packed, stored, hashes, room.raw)) {
      await this.#file.write(bytes, position);
    }
    return hashes;
  }

  #roomOf(lane: number): LaneBuffers {
    return (this.#rooms[lane] ??= { stored: Buffer.alloc(0), raw: Buffer.allocUnsafeSlow(BLOCK_SIZE) });
  }

  #take({ firstPage, pages, pageSize }: PackedRun, hashes: BigUint64Array): void {
    for (let from = 0; from < pages.length; from++) {
      if (pages[from] === PAGE.passedOver) continue;
      let to = from + 1;
      while (to < pages.length && pages[to] !== PAGE.passedOver) to++;
      this.#hashes.setHashes(firstPage + from, hashes, from, to);
      from = to;
    }
    this.#progress.add(pages.length * pageSize);
  }
}
