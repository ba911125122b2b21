/**
 * Histories of real databases, written into a store as a shipper would write them, with what SQLite itself held after
 * every commit. The same seed gives the same history.
 */
import { createHash } from 'node:crypto';
import { codec as codecNamed } from '../../replica/format/codec.ts';
import { PageHashes } from '../../replica/format/page-hashes.ts';
import type { CodecName } from '../../replica/terms/layout.ts';
import { formatPosition } from '../../replica/terms/position.ts';
import { BLOCK_SIZE } from '../../replica/format/block-size.ts';
import { writeSnapshot } from '../../replica/objects/snapshot-writer.ts';
import { writeClaim } from '../../replica/catalogue/claim.ts';
import { writeHead } from '../../replica/catalogue/head.ts';
import type { Store } from '../../replica/store/store.ts';
import { FRAME_HEADER_SIZE, frameSize, parseFrameHeader, WAL_HEADER_SIZE } from '../../replica/wal/format.ts';
import type { WalOrder } from '../../replica/wal/checksum.ts';
import { LiveDatabase, type LiveOptions, type NewCommit } from './live-database.ts';
import { IndexCutter, type CutOptions } from './index-cutter.ts';
import { Seeded } from './seeded.ts';
import { firstStep, randomStep, type WorkloadOptions } from './workload.ts';

export interface HistoryOptions {
  readonly seed: number;
  /** Commits in all, over all generations. */
  readonly commits: number;
  readonly pageSize?: number;
  readonly generations?: number;
  readonly codec?: CodecName;
  /** Byte order of the WAL's checksums; big-endian WALs are rewritten from real ones. */
  readonly order?: WalOrder;
  readonly workload?: Partial<WorkloadOptions>;
  readonly cut?: Partial<CutOptions>;
  /** Chance of a checkpoint (and so a new index) after each commit. */
  readonly checkpoints?: number;
  /** Chance of a snapshot of its own at each checkpoint. */
  readonly snapshots?: number;
  /** Milliseconds between commits, at most. */
  readonly pause?: number;
  /** Writes claim and head at the end. */
  readonly control?: boolean;
  /** Leaves a segment without a commit at the end of the last index. */
  readonly unfinished?: boolean;
  /** Called with the time before each object is written. */
  readonly clock?: (time: number) => void;
  /** Computes every state in two ways, and compares them at every commit. */
  readonly distrustOracle?: boolean;
  readonly keepImages?: boolean;
}

/** A state that the database had: what SQLite held, and where and when. */
export interface State {
  readonly generation: string;
  readonly index: number;
  /** 0 for the state that a generation's first snapshot holds. */
  readonly offset: number;
  readonly time: number;
  readonly pages: number;
  readonly checksum: bigint;
  /** SHA-256 of the database file. */
  readonly hash: string;
  /** False if the segment says that this state must not be restored. */
  restorable: boolean;
  /** False if the segment does not name this commit; then it can be restored by position, not by time. */
  marked: boolean;
  readonly image: Buffer | undefined;
}

export interface History {
  readonly seed: number;
  readonly pageSize: number;
  readonly codec: CodecName;
  /** Oldest first; each generation's own states in order. */
  readonly generations: readonly { readonly id: string; readonly states: readonly State[] }[];
  /** All states, oldest first. */
  readonly states: readonly State[];
}

export const PAGE_SIZES = [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536] as const;
export const HISTORY_START = Date.UTC(2026, 2, 1);

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function positionOf(state: State): string {
  return formatPosition(state);
}

export async function buildHistory(store: Store, options: HistoryOptions): Promise<History> {
  const random = new Seeded(options.seed);
  const live: LiveOptions = {
    pageSize: options.pageSize ?? random.pick(PAGE_SIZES),
    autoVacuum: random.pick(['none', 'full', 'incremental']),
  };
  const builder = new HistoryBuilder(store, options, random, live);
  try {
    return await builder.build();
  } finally {
    builder.close();
  }
}

class HistoryBuilder {
  readonly #store: Store;
  readonly #options: HistoryOptions;
  readonly #random: Seeded;
  readonly #live: LiveDatabase;
  readonly #pageSize: number;
  readonly #codec: CodecName;
  readonly #workload: WorkloadOptions;
  #time = HISTORY_START;

  constructor(store: Store, options: HistoryOptions, random: Seeded, live: LiveOptions) {
    this.#store = store;
    this.#options = options;
    this.#random = random;
    this.#live = new LiveDatabase(live);
    this.#pageSize = live.pageSize;
    this.#codec = options.codec ?? (random.chance(0.25) ? 'zstd' : 'lz4');
    const scale = Math.max(1, live.pageSize / 4096);
    this.#workload = { largest: 60_000, most: 600_000 * scale, ...options.workload };
  }

  close(): void {
    this.#live.close();
  }

  async build(): Promise<History> {
    const count = this.#options.generations ?? 1;
    const generations: { id: string; states: State[] }[] = [];
    for (let g = 0; g < count; g++) {
      const id = this.#random.hex(16);
      const last = g === count - 1;
      const states = await this.#generation(id, generations.at(-1)?.id, Math.ceil(this.#options.commits / count), last);
      generations.push({ id, states });
    }
    return {
      seed: this.#options.seed,
      pageSize: this.#pageSize,
      codec: this.#codec,
      generations,
      states: generations.flatMap(({ states }) => states),
    };
  }

  async #generation(id: string, parent: string | undefined, commits: number, last: boolean): Promise<State[]> {
    if (this.#random.chance(0.8))
      this.#live.commitOf((db) => {
        firstStepOnce(db, this.#random, this.#workload);
      });
    this.#live.checkpoint('TRUNCATE');
    this.#tick();
    const hashes = new PageHashes(this.#pageSize);
    const image = this.#live.file();
    for (let page = 1; page <= image.length / this.#pageSize; page++) hashes.set(page, this.#pageOf(image, page));
    hashes.commit(image.length / this.#pageSize);
    await this.#snapshot(id, 0, hashes, parent);
    const states: State[] = [this.#state(id, 0, 0, hashes)];

    const cutOptions: CutOptions = { joined: 0.15, notRestorable: 0.03, midTransaction: 0.3, ...this.#options.cut };
    let index = 0;
    let cutter: IndexCutter | undefined;
    const open = (): IndexCutter =>
      (cutter ??= new IndexCutter(
        { store: this.#store, generation: id, index, pageSize: this.#pageSize, codec: this.#codec },
        { pages: hashes.pages, checksum: hashes.checksum, time: this.#time },
        this.#random,
        { ...cutOptions, order: this.#options.order ?? 'little' },
      ));
    for (let done = 0; done < commits;) {
      const commit = this.#live.commitOf((db) => {
        randomStep(db, this.#random, this.#workload);
      });
      if (commit === undefined) continue;
      done++;
      open(); // takes the state before the commit
      this.#tick();
      apply(hashes, commit, this.#pageSize);
      const state = this.#state(id, index, commit.end, hashes);
      open().commit(commit, state);
      states.push(state);
      if (this.#random.chance(this.#options.checkpoints ?? 0.12) && done < commits) {
        await open().finish(this.#options.clock);
        cutter = undefined;
        index++;
        this.#live.checkpoint(this.#random.chance(0.7) ? 'RESTART' : 'TRUNCATE');
        if (this.#random.chance(this.#options.snapshots ?? 0)) await this.#snapshot(id, index, hashes, undefined);
      }
    }
    await cutter?.finish(this.#options.clock, this.#options.unfinished === true && last);
    if (last && this.#options.control === true) await this.#control(states.at(-1)!);
    return states;
  }

  async #snapshot(generation: string, index: number, hashes: PageHashes, parent: string | undefined): Promise<void> {
    const file = this.#live.file();
    const facts = {
      generation,
      index,
      pageSize: this.#pageSize,
      pages: file.length / this.#pageSize,
      time: this.#time,
      checksum: hashes.checksum,
      reason: index === 0 ? 'first start' : 'request',
      ...(parent !== undefined && { parent }),
      ...(this.#random.chance(0.5) && { file: { mode: 0o640, uid: process.getuid!(), gid: process.getgid!() } }),
    };
    this.#options.clock?.(this.#time);
    await writeSnapshot(this.#store, facts, codecNamed(this.#codec), blocksOf(file));
  }

  async #control(at: State): Promise<void> {
    const since = HISTORY_START;
    const owner = this.#random.hex(16);
    await writeClaim(this.#store, { generation: at.generation, epoch: 1, owner, holder: 'test:1', since }, 'absent');
    await writeHead(this.#store, {
      position: { generation: at.generation, index: at.index, offset: at.offset },
      checksum: at.checksum,
      pages: at.pages,
      committed: at.time,
      seen: at.time + 1000,
    });
  }

  #state(generation: string, index: number, offset: number, hashes: PageHashes): State {
    const image = this.#live.image();
    if (this.#options.distrustOracle === true && offset > 0 && !this.#live.checkpointedCopy().equals(image)) {
      throw new Error(`serialize() and a checkpointed copy differ at ${generation}/${index}/${offset}`);
    }
    if (image.length !== hashes.pages * this.#pageSize) {
      throw new Error(`SQLite holds ${image.length / this.#pageSize} pages, the frames say ${hashes.pages}`);
    }
    return {
      generation,
      index,
      offset,
      time: this.#time,
      pages: hashes.pages,
      checksum: hashes.checksum,
      hash: hashOf(image),
      restorable: true,
      marked: true,
      image: this.#options.keepImages === true ? Buffer.from(image) : undefined,
    };
  }

  #pageOf(image: Buffer, page: number): Buffer {
    return image.subarray((page - 1) * this.#pageSize, page * this.#pageSize);
  }

  #tick(): void {
    this.#time += this.#random.int((this.#options.pause ?? 3000) + 1);
  }
}

/** Later generations continue with the tables of the earlier ones. */
function firstStepOnce(...args: Parameters<typeof firstStep>): void {
  const there = args[0].prepare('SELECT count(*) FROM sqlite_schema').pluck().get() as number;
  if (there === 0) firstStep(...args);
  else randomStep(...args);
}

function apply(hashes: PageHashes, commit: NewCommit, pageSize: number): void {
  for (let at = commit.restarted ? WAL_HEADER_SIZE : 0; at < commit.raw.length; at += frameSize(pageSize)) {
    const { page } = parseFrameHeader(commit.raw, at);
    hashes.set(page, commit.raw.subarray(at + FRAME_HEADER_SIZE, at + frameSize(pageSize)));
  }
  hashes.commit(commit.pages);
}

/** A database image in the pieces that snapshots are written from. */

export async function* blocksOf(image: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < image.length; at += BLOCK_SIZE) yield image.subarray(at, at + BLOCK_SIZE);
}
