/**
 * Writes the blocks of one of our snapshots into a file, in whatever order they come. While the WAL is still read,
 * threads already write blocks, without those pages that the WAL is known to hold by then.
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

/** What a thread fetches with one request. */
const LONG_RUNS = { bytes: 2 << 20, blocks: 16 };
/** Runs under way in the main thread if there are others: one is fetched or written while another is unpacked. */
const RUNS_BESIDE_THREADS = 2;
/** After so many useless tickets in a row, none is asked for any more. */
const MOST_REFUSALS = 4;

/** What one lane of the main thread reads into and writes from. */
interface LaneBuffers {
  stored: Buffer;
  readonly raw: Buffer;
}

/** The WAL is read, and threads write blocks beside it. */
interface BesideWal {
  readonly kind: 'beside-wal';
  /** The last page of the blocks that were begun. */
  begun: number;
  /** The highest page that one of them may have written, or will. */
  reach: number;
  readonly underWay: Set<Promise<unknown>>;
  /** Resolves when blocks may be begun again; undefined unless they are paused. */
  paused: PromiseWithResolvers<undefined> | undefined;
  /** Settles when no thread has a run any more: after the phase has ended, since runs that were begun are finished. */
  over: Promise<void>;
  isOver: boolean;
}

/**
 * - `created`: nothing was begun
 * - `beside-wal`: see {@link BesideWal}
 * - `after-wal`: threads are given no more runs beside the WAL; `before` is what is left of that phase
 */
type Phase =
  { readonly kind: 'created' } | BesideWal | { readonly kind: 'after-wal'; readonly before: BesideWal | undefined };

export type Unpacking = Pick<UnpackingPool, 'lanes' | 'unpack'>;

/** Call `begin`, read the WAL, call `finish`; dispose of it in any case. */
export class BlockRestorer implements BlocksBelow, AsyncDisposable {
  readonly #snapshot: BlockSnapshot;
  readonly #file: PageFile;
  readonly #hashes: PageHashes;
  readonly #pool: Unpacking;
  readonly #progress: WriteProgress;
  readonly #runs: Generator<BlockRun>;
  readonly #reader = new TicketReader();
  readonly #buffers: LaneBuffers[] = [];
  #phase: Phase = { kind: 'created' };
  /** Pages after this one are not the snapshot's. */
  #last = Number.MAX_SAFE_INTEGER;
  /** Runs that threads took beside the WAL and did not write. */
  readonly #left: BlockRun[] = [];
  /** Useless tickets in a row. */
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
    return this.#phase.kind === 'beside-wal' ? this.#phase.reach : 0;
  }

  limit(pages: number): void {
    this.#last = Math.min(this.#last, pages);
    if (this.#phase.kind === 'beside-wal') this.#phase.reach = Math.min(this.#phase.reach, pages);
  }

  async pause(): Promise<void> {
    if (this.#phase.kind !== 'beside-wal') return;
    this.#phase.paused ??= Promise.withResolvers<undefined>();
    await Promise.allSettled(this.#phase.underWay);
  }

  resume(): void {
    if (this.#phase.kind === 'beside-wal') unpause(this.#phase);
  }

  /** Sets the threads to work before the WAL has been read. `wal` returns its writer, once there is one. */
  begin(wal: () => WalWriter | undefined): void {
    const phase: BesideWal = {
      kind: 'beside-wal',
      begun: 0,
      reach: 0,
      underWay: new Set(),
      paused: undefined,
      over: Promise.resolve(),
      isOver: false,
    };
    this.#phase = phase;
    const written = forEachConcurrent(this.#runsBeside(phase), this.#pool.lanes, async (run) => {
      while (phase.paused !== undefined) await phase.paused.promise;
      if (this.#phase !== phase) {
        this.#left.push(run);
        return;
      }
      const { blockPages } = this.#snapshot.footer;
      phase.begun = Math.min((run.last + 1) * blockPages, this.#snapshot.facts.pages);
      phase.reach = Math.min(phase.begun, this.#last);
      const work = this.#writeBeside(run, wal());
      phase.underWay.add(work);
      await work.finally(() => phase.underWay.delete(work));
    });
    phase.over = written.finally(() => (phase.isOver = true));
  }

  /**
   * Writes all that is left, now that the WAL has been read. Blocks whose pages the WAL replaces completely are read,
   * too: they are few, and damage in them must be found. The pages that the WAL's writer still holds are also written.
   */
  async finish(wal: WalWriter | undefined): Promise<void> {
    const before = this.#leaveWal();
    const { facts, footer } = this.#snapshot;
    const covered = Math.min(facts.pages, Math.ceil(this.#last / footer.blockPages) * footer.blockPages);
    const threads = this.#pool.lanes;
    const main = threads === 0 ? RUNS_AHEAD : RUNS_BESIDE_THREADS;
    const write = async (run: BlockRun, lane: number): Promise<void> => {
      const packed = this.#pack(run, wal, true);
      const elsewhere = lane < threads ? await this.#unpackElsewhere(run, packed) : undefined;
      this.#take(packed, elsewhere ?? (await this.#unpackHere(run, packed, this.#buffersOf(lane))));
    };
    const begun = before?.begun ?? 0;
    await forEachConcurrent(this.#runsWhile(before), main, (run, lane) => write(run, threads + lane));
    await before?.over;
    await wal?.finish((page) => page > begun && page <= covered);
    await forEachConcurrent(this.#runs, threads + main, write);
    await forEachConcurrent(this.#left.splice(0), threads + main, write);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leaveWal()?.over;
    this.#reader.close();
  }

  /** From here on no thread begins a run beside the WAL. Returns what is left of that phase. */
  #leaveWal(): BesideWal | undefined {
    const phase = this.#phase;
    if (phase.kind === 'after-wal') return phase.before;
    const before = phase.kind === 'beside-wal' ? phase : undefined;
    this.#phase = { kind: 'after-wal', before };
    if (before !== undefined) unpause(before);
    return before;
  }

  *#runsBeside(phase: BesideWal): Generator<BlockRun> {
    while (this.#phase === phase && this.#refusals < MOST_REFUSALS) {
      const next = this.#runs.next();
      if (next.done === true) return;
      yield next.value;
    }
  }

  /** Runs for the main thread while threads are busy with what they have begun: they may not even have started. */
  *#runsWhile(before: BesideWal | undefined): Generator<BlockRun> {
    while (before?.isOver === false) {
      const next = this.#runs.next();
      if (next.done === true) return;
      yield next.value;
    }
  }

  /** Never fails. Runs that could not be written are kept for `finish`. */
  async #writeBeside(run: BlockRun, wal: WalWriter | undefined): Promise<void> {
    const packed = this.#pack(run, wal, false);
    const ticket = await this.#ticket(run).catch(() => undefined);
    const hashes = ticket && (await this.#pool.unpack(packed, ticket, this.#file.fd!));
    if (hashes === undefined) {
      this.#refusals++;
      this.#left.push(run);
      return;
    }
    this.#refusals = 0;
    this.#file.wrote?.(packed.pages.length * packed.pageSize);
    this.#take(packed, hashes);
  }

  /** @param patched whether pages that the WAL's writer holds are written with the block, or by that writer */
  #pack(run: BlockRun, wal: WalWriter | undefined, patched: boolean): PackedRun {
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
      if (wal?.has(page) !== true) {
        if (page > this.#last) pages[i] = PAGE.passedOver;
        continue;
      }
      const held = patched ? wal.held(page) : undefined;
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

  async #unpackHere(run: BlockRun, packed: PackedRun, buffers: LaneBuffers): Promise<BigUint64Array> {
    const read = await this.#read(run, packed, buffers);
    if (read !== undefined) {
      const hashes = await this.#unpack(packed, read, buffers).catch(() => undefined);
      if (hashes !== undefined) return hashes;
    }
    try {
      return await this.#unpack(packed, await this.#snapshot.fetch(run), buffers);
    } catch (error) {
      throw withKey(error, this.#snapshot.key);
    }
  }

  /** Reads by a ticket: less work than a read that repeats and resumes, but it may fail. Undefined if it did. */
  async #read(run: BlockRun, { length }: PackedRun, buffers: LaneBuffers): Promise<Buffer | undefined> {
    const ticket = await this.#ticket(run);
    if (ticket === undefined) return undefined;
    if (buffers.stored.length < length) buffers.stored = Buffer.allocUnsafeSlow(length);
    const into = buffers.stored.subarray(0, length);
    try {
      await this.#reader.read(ticket, into);
      this.#refusals = 0;
      return into;
    } catch {
      this.#refusals++;
      return undefined;
    }
  }

  async #unpack(packed: PackedRun, stored: Buffer, { raw }: LaneBuffers): Promise<BigUint64Array> {
    const hashes = new BigUint64Array(packed.pages.length);
    for (const { bytes, position } of unpackRun(packed, stored, hashes, raw)) {
      await this.#file.write(bytes, position);
    }
    return hashes;
  }

  #buffersOf(lane: number): LaneBuffers {
    return (this.#buffers[lane] ??= { stored: Buffer.alloc(0), raw: Buffer.allocUnsafeSlow(BLOCK_SIZE) });
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

function unpause(phase: BesideWal): void {
  phase.paused?.resolve(undefined);
  phase.paused = undefined;
}
