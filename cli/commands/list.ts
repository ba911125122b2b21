import { isKind } from '../../replica/terms/errors.ts';
import { hex8, type Place } from '../../replica/terms/position.ts';
import { loadReplica } from '../../replica/restore/choose.ts';
import { restorableRanges, type RestorableRange } from '../../replica/plan/ranges.ts';
import type { SegmentRef } from '../../replica/objects/segment-reader.ts';
import { readSnapshotFacts } from '../../replica/objects/snapshot-reader.ts';
import type { Store } from '../../replica/store/store.ts';
import { formatTime } from '../../replica/terms/target.ts';
import { keyOfSnapshot, positionIn, type Generation } from '../../replica/catalogue/generation.ts';
import { otherProgramWarnings } from '../../replica/catalogue/other-program.ts';
import { fromListing, type Timeline } from '../../replica/catalogue/timeline.ts';
import { formatSize } from '../../replica/terms/units.ts';
import { snapshotReasonWords } from '../../shipper/reasons.ts';
import type { Command } from '../command.ts';
import type { JsonDocument } from '../json.ts';
import { EXIT } from '../exit-codes.ts';
import { failureDocument } from '../failure.ts';
import { REPLICA, withStore } from '../replica-place.ts';
import { listLtxFiles, ltxDocument, ltxLines } from '../report/ltx-listing.ts';
import { counted } from '../report/wording.ts';

interface ListedSnapshot {
  readonly index: number;
  readonly key: string;
  readonly bytes: number;
  readonly time: number;
  /** Known of our own snapshots only. */
  readonly pages: number | undefined;
  readonly reason: string | undefined;
}

/** Indexes that follow on each other. */
interface WalRange {
  readonly first: SegmentRef;
  readonly last: SegmentRef;
  readonly segments: number;
  readonly bytes: number;
}

interface ListedGeneration {
  readonly id: string;
  readonly current: boolean;
  readonly snapshots: readonly ListedSnapshot[];
  readonly wal: readonly WalRange[];
  readonly restorable: readonly RestorableRange[];
  readonly bytes: number;
  /** Damage that keeps the generation from being listed in full. */
  readonly problem: Error | undefined;
}

export const listCommand: Command = {
  name: 'list',
  summary: 'lists a replica: its generations, snapshots and WAL, and the times that can be restored',
  details: [
    'It reads only headers, so it is quick and proves nothing; seawall verify does. Damage that it finds is printed, ' +
      'and the exit code is 4.',
  ],
  operands: [REPLICA],
  flags: {},
  examples: [
    { line: 'seawall list ./bucket', says: 'what there is, and the times between which every moment can be restored' },
    {
      line: `seawall list ./bucket --json | jq -r '.generations[].restorable[].last.position'`,
      says: 'the newest positions, for seawall restore --at',
    },
  ],
  async run(line) {
    return withStore(line.operand(0), async (store) => {
      // A sweep of retention may take what was just listed.
      const { timeline, ltx, listed, files } = await fromListing(async () => {
        const replica = await loadReplica(store, { head: true, claim: true });
        const generations: ListedGeneration[] = [];
        for (const generation of replica.timeline?.generations ?? []) {
          generations.push(await listGeneration(store, replica.timeline!, generation));
        }
        return { ...replica, listed: generations, files: replica.ltx && (await listLtxFiles(store, replica.ltx)) };
      });
      const bytes = listed.reduce((sum, each) => sum + each.bytes, files?.bytes ?? 0);
      const foreign = [...(timeline?.foreign ?? []), ...(ltx?.foreign ?? [])];
      const damage = [...(timeline?.damage ?? []), ...(timeline?.missing === undefined ? [] : [timeline.missing])];
      const damaged =
        damage.length > 0 || listed.some(({ problem }) => problem !== undefined) || files?.problem !== undefined;
      return {
        exitCode: damaged ? EXIT.corrupt : EXIT.ok,
        document: {
          replica: store.url,
          current: timeline?.current?.id ?? null,
          generations: listed.map(documentOf),
          ...(files && { ltx: ltxDocument(files) }),
          bytes,
          foreign,
          damage: damage.map(({ message }) => message),
        },
        lines: [
          `${store.url}: ${counted(listed.length, 'generation')}, ${formatSize(bytes)}`,
          ...listed.flatMap(linesOf),
          ...(files === undefined ? [] : ltxLines(files)),
          ...(files === undefined || listed.length === 0
            ? []
            : ['there are both generations and LTX files: a restore takes the newer state, and prints both']),
          ...(timeline === undefined ? [] : otherProgramWarnings(timeline)),
          ...foreign.map((key) => `not part of a replica: ${key}`),
          ...damage.map(({ message }) => `damaged: ${message}`),
        ],
      };
    });
  },
};

async function listGeneration(store: Store, timeline: Timeline, generation: Generation): Promise<ListedGeneration> {
  const { id, snapshots, segments } = generation;
  let problem: Error | undefined;
  const tolerate = async <T>(work: Promise<T>): Promise<T | undefined> => {
    try {
      return await work;
    } catch (error) {
      if (!isKind(error, 'corrupt', 'unsupported')) throw error;
      problem ??= error;
      return undefined;
    }
  };
  const listed: ListedSnapshot[] = [];
  for (const snapshot of snapshots) {
    const facts = await tolerate(readSnapshotFacts(store, id, snapshot));
    listed.push({
      index: snapshot.index,
      key: keyOfSnapshot(generation, snapshot),
      bytes: snapshot.size,
      time: facts?.time ?? snapshot.lastModified,
      pages: facts?.pages,
      reason: facts?.reason,
    });
  }
  const ranges = await tolerate(restorableRanges(store, generation, timeline.floors.get(id)));
  return {
    id,
    current: id === timeline.current?.id,
    snapshots: listed,
    wal: walRanges(generation),
    restorable: ranges ?? [],
    bytes: [...snapshots, ...segments].reduce((sum, { size }) => sum + size, 0),
    problem,
  };
}

function walRanges({ segments }: Generation): WalRange[] {
  const ranges: WalRange[] = [];
  for (const segment of segments) {
    const open = ranges.at(-1);
    const follows = open !== undefined && segment.index - open.last.index <= (segment.offset === 0 ? 1 : 0);
    if (!follows) ranges.push({ first: segment, last: segment, segments: 1, bytes: segment.size });
    else {
      const bytes = open.bytes + segment.size;
      ranges[ranges.length - 1] = { first: open.first, last: segment, segments: open.segments + 1, bytes };
    }
  }
  return ranges;
}

function documentOf(generation: ListedGeneration): JsonDocument {
  const { id, current, snapshots, wal, restorable, bytes, problem } = generation;
  const position = (place: Place): string => positionIn({ id }, place);
  return {
    generation: id,
    current,
    snapshots: snapshots.map(({ time, index, key, ...rest }) => ({
      position: position({ index, offset: 0 }),
      key,
      time: formatTime(time),
      ...rest,
    })),
    wal: wal.map(({ first, last, segments, bytes: size }) => ({
      firstSegment: position(first),
      lastSegment: position(last),
      segments,
      bytes: size,
    })),
    restorable: restorable.map(({ first, last }) => ({
      first: { position: first.position, time: formatTime(first.time) },
      last: { position: last.position, time: formatTime(last.time) },
    })),
    bytes,
    ...(problem && { problem: failureDocument(problem) }),
  };
}

function linesOf(generation: ListedGeneration): string[] {
  const { id, current, snapshots, wal, restorable, bytes, problem } = generation;
  const place = ({ index, offset }: SegmentRef): string => `${hex8(index)}/${hex8(offset)}`;
  return [
    '',
    `generation ${id}${current ? ' (current)' : ''}, ${formatSize(bytes)}`,
    ...snapshots.map(({ index, time, bytes: size, pages, reason }) => {
      const why = reason === undefined ? '' : ` (${snapshotReasonWords(reason)})`;
      const known = pages === undefined ? '' : `, ${counted(pages, 'page')}${why}`;
      return `  snapshot    ${hex8(index)}  ${formatTime(time)}  ${formatSize(size)}${known}`;
    }),
    ...wal.map(({ first, last, segments, bytes: size }) => {
      const extent = segments === 1 ? place(first) : `${place(first)} to ${place(last)}`;
      return `  WAL         ${extent}  ${counted(segments, 'segment')}, ${formatSize(size)}`;
    }),
    ...restorable.map(({ first, last }) =>
      first.position === last.position
        ? `  restorable  ${formatTime(first.time)} only (${first.position})`
        : `  restorable  ${formatTime(first.time)} to ${formatTime(last.time)} (last ${last.position})`,
    ),
    ...(problem === undefined ? [] : [`  DAMAGED     ${problem.message}`]),
  ];
}
