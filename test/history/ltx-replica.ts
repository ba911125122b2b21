/** Histories of real databases as LTX files, at the levels and in the folders that Litestream 0.5 uses. */
import type { Store } from '../../replica/store/store.ts';
import { hashOf } from './history.ts';
import { LiveDatabase } from './live-database.ts';
import { ltxFile, ltxKey, type LtxFileFacts } from './ltx-file.ts';
import { Seeded } from './seeded.ts';
import { firstStep, randomStep } from './workload.ts';

export interface LtxState {
  readonly txid: number;
  readonly time: number;
  readonly pages: number;
  readonly image: Buffer;
  readonly hash: string;
}

export interface LtxReplica {
  readonly pageSize: number;
  /** One a transaction, the first at 0. */
  readonly states: readonly LtxState[];
}

export const LTX_START = Date.UTC(2026, 4, 1);
/** Milliseconds between transactions. */
export const LTX_STEP = 1000;

/**
 * `transactions` of them, each in a file of level 0. As asked, `merged` runs are in files of level 1, and `snapshots`
 * are written after some; `forgotten` are the first transactions whose files of level 0 are gone.
 */
export async function ltxReplica(
  store: Store,
  options: {
    readonly seed: number;
    readonly transactions: number;
    readonly pageSize?: number;
    readonly merged?: readonly (readonly [number, number])[];
    readonly snapshots?: readonly number[];
    readonly forgotten?: number;
    readonly largest?: number;
  },
): Promise<LtxReplica> {
  const random = new Seeded(options.seed);
  const { pageSize = 1024, largest = 20_000 } = options;
  const live = new LiveDatabase({ pageSize, autoVacuum: 'none' });
  const workload = { largest, most: largest * 20 };
  const states: LtxState[] = [];
  try {
    live.commitOf((db) => {
      firstStep(db, random, workload);
    });
    while (states.length < options.transactions) {
      if (
        states.length > 0 &&
        live.commitOf((db) => {
          randomStep(db, random, workload);
        }) === undefined
      )
        continue;
      const image = Buffer.from(live.image());
      const txid = states.length + 1;
      states.push({
        txid,
        time: LTX_START + txid * LTX_STEP,
        pages: image.length / pageSize,
        image,
        hash: hashOf(image),
      });
    }
  } finally {
    live.close();
  }
  const put = async (level: number, min: number, max: number, more: Partial<LtxFileFacts> = {}): Promise<void> => {
    const last = states[max - 1]!;
    const facts = { pageSize, pages: last.pages, min, max, time: last.time, ...more };
    await store.put(ltxKey(level, min, max), ltxFile(facts, changed(states[min - 2], last, pageSize)));
  };
  for (let txid = (options.forgotten ?? 0) + 1; txid <= states.length; txid++) await put(0, txid, txid);
  for (const [min, max] of options.merged ?? []) await put(1, min, max);
  for (const max of options.snapshots ?? []) await put(9, 1, max, { time: states[max - 1]!.time + 10 });
  return { pageSize, states };
}

function changed(before: LtxState | undefined, after: LtxState, pageSize: number): Map<number, Buffer> {
  const pages = new Map<number, Buffer>();
  for (let page = 1; page <= after.pages; page++) {
    const content = pageOf(after, page, pageSize);
    if (before === undefined || page > before.pages || !content.equals(pageOf(before, page, pageSize))) {
      pages.set(page, content);
    }
  }
  return pages;
}

function pageOf({ image }: LtxState, page: number, pageSize: number): Buffer {
  return image.subarray((page - 1) * pageSize, page * pageSize);
}
