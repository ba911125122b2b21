/** How `seawall list` shows the LTX files of Litestream 0.5. */
import { isKind } from '../../replica/terms/errors.ts';
import { latestState, ltxRanges, stateTime, type LtxHistory } from '../../replica/ltx/history.ts';
import { SNAPSHOT_LEVEL, type LtxRef } from '../../replica/ltx/layout.ts';
import { mapOrdered } from '../../replica/runtime/map-ordered.ts';
import type { Moment, RestorableRange } from '../../replica/plan/ranges.ts';
import type { Store } from '../../replica/store/store.ts';
import { formatTime, formatTxid } from '../../replica/terms/target.ts';
import { formatSize } from '../../replica/terms/units.ts';
import type { JsonDocument } from '../json.ts';
import { failureDocument } from '../failure.ts';
import { counted } from './wording.ts';

interface ListedLevel {
  readonly level: number;
  readonly files: number;
  readonly first: number;
  readonly last: number;
  readonly bytes: number;
}

export interface ListedLtx {
  readonly levels: readonly ListedLevel[];
  readonly restorable: readonly RestorableRange[];
  readonly bytes: number;
  /** Damage, or a gap that keeps the latest state from being restored. */
  readonly problem: Error | undefined;
}

/** Headers read at the same time, one for each time. */
const AHEAD = 16;

export async function listLtxFiles(store: Store, history: LtxHistory): Promise<ListedLtx> {
  const levels = [...Map.groupBy(history.files, ({ level }) => level).values()].map(levelOf);
  const restorable: RestorableRange[] = [];
  let problem: Error | undefined;
  try {
    const moment = async (state: LtxHistory['states'][number]): Promise<Moment> => ({
      position: formatTxid(state.txid),
      time: await stateTime(store, state),
    });
    const ranges = mapOrdered(ltxRanges(history), AHEAD, async ({ first, last }) => ({
      first: await moment(first),
      last: await moment(last),
    }));
    for await (const range of ranges) restorable.push(range);
    latestState(history);
  } catch (error) {
    if (!isKind(error, 'corrupt', 'unsupported')) throw error;
    problem = error;
  }
  return { levels, restorable, bytes: levels.reduce((sum, { bytes }) => sum + bytes, 0), problem };
}

function levelOf(files: readonly LtxRef[]): ListedLevel {
  return {
    level: files[0]!.level,
    files: files.length,
    first: files.reduce((least, { min }) => Math.min(least, min), Infinity),
    last: files.reduce((most, { max }) => Math.max(most, max), -Infinity),
    bytes: files.reduce((sum, { size }) => sum + size, 0),
  };
}

export function ltxDocument({ levels, restorable, bytes, problem }: ListedLtx): JsonDocument {
  return {
    levels: levels.map(({ first, last, ...rest }) => ({ ...rest, first: formatTxid(first), last: formatTxid(last) })),
    restorable: restorable.map(({ first, last }) => ({
      first: { position: first.position, time: formatTime(first.time) },
      last: { position: last.position, time: formatTime(last.time) },
    })),
    bytes,
    ...(problem && { problem: failureDocument(problem) }),
  };
}

export function ltxLines({ levels, restorable, bytes, problem }: ListedLtx): string[] {
  return [
    '',
    `LTX files of Litestream 0.5, ${formatSize(bytes)}`,
    ...levels.map(({ level, files, first, last, bytes: size }) => {
      const name = level === SNAPSHOT_LEVEL ? 'snapshots' : `level ${level}`;
      return `  ${name.padEnd(10)}  ${counted(files, 'file')}, ${formatTxid(first)} to ${formatTxid(last)}, ${formatSize(size)}`;
    }),
    ...restorable.map(({ first, last }) =>
      first.position === last.position
        ? `  restorable  ${formatTime(first.time)} only (${first.position})`
        : `  restorable  ${formatTime(first.time)} to ${formatTime(last.time)} (${first.position} to ${last.position})`,
    ),
    ...(problem === undefined ? [] : [`  DAMAGED     ${problem.message}`]),
  ];
}
