import type { LtxHistory } from '../../replica/ltx/history.ts';
import { formatChecksum } from '../../replica/format/page-hashes.ts';
import { planRestore, type RestorePlan } from '../../replica/plan/plan.ts';
import { hex8 } from '../../replica/terms/position.ts';
import { chooseIn, loadReplica } from '../../replica/restore/choose.ts';
import type { Restorable } from '../../replica/restore/restorable.ts';
import type { Store } from '../../replica/store/store.ts';
import { formatTime, LATEST, parseTarget } from '../../replica/terms/target.ts';
import { keyOfSnapshot, positionIn, type Generation } from '../../replica/catalogue/generation.ts';
import { otherProgramWarnings } from '../../replica/catalogue/other-program.ts';
import type { Timeline } from '../../replica/catalogue/timeline.ts';
import { formatSize } from '../../replica/terms/units.ts';
import type { Command, Report } from '../command.ts';
import { EXIT, interpret } from '../exit-codes.ts';
import { REPLICA, withStore } from '../replica-place.ts';
import { columns, counted, momentWords, spanWords, warningLines } from '../report/wording.ts';

export const statusCommand: Command = {
  name: 'status',
  summary: 'shows how far a replica reaches, how old that is, and what a restore reads',
  details: [
    'The age is the time since the replica was last known to be complete: since its newest commit, or since the last ' +
      'heartbeat of a running shipper (every 5 minutes by default).',
  ],
  operands: [REPLICA],
  flags: {
    'max-age': { value: 'duration', help: 'exit with code 1 if the backup is older: for cron, Nagios and the like' },
  },
  examples: [
    { line: 'seawall status ./bucket', says: 'the age of the backup, and more' },
    { line: 'seawall status ./bucket --max-age 10m', says: 'a check for cron or Nagios' },
    { line: 'seawall status ./bucket --json | jq .ageSeconds', says: 'a number to monitor' },
  ],
  async run(line) {
    const maxAge = await interpret(() => line.duration('max-age'));
    return judged(
      maxAge,
      await withStore(line.operand(0), async (store) => {
        const { timeline, ltx } = await loadReplica(store);
        const inFiles = ltx && (await newestInFiles(store, timeline, ltx));
        if (inFiles !== undefined) return statusOfFiles(store.url, inFiles, Date.now());
        if (timeline === undefined) throw new TypeError('a replica holds generations or LTX files');
        const plan = await planRestore(store, timeline, LATEST);
        const { claim, head } = timeline;
        const { generation, snapshot, time } = plan;
        const position = positionOf(plan);
        const now = Date.now();
        const seen = head?.position.generation === generation.id ? Math.max(head.seen, time) : time;
        const wal = walSince(generation, snapshot.index);
        const reads = readsOf(plan);
        const snapshotKey = keyOfSnapshot(generation, snapshot);
        const checksum = plan.proof?.state.checksum;
        const warnings = otherProgramWarnings(timeline);
        return {
          exitCode: EXIT.ok,
          document: {
            replica: store.url,
            generation: generation.id,
            position,
            time: formatTime(time),
            seen: formatTime(seen),
            ageSeconds: Number(((now - seen) / 1000).toFixed(3)),
            checksum: checksum === undefined ? null : formatChecksum(checksum),
            claim:
              claim === undefined
                ? null
                : {
                    holder: claim.holder,
                    epoch: claim.epoch,
                    since: formatTime(claim.since),
                    generation: claim.generation,
                  },
            walSinceSnapshot: wal,
            restore: { snapshot: snapshotKey, ...reads },
            warnings,
          },
          lines: [
            store.url,
            ...columns([
              ['generation', generation.id],
              ['position', position],
              ['time', momentWords(time, now)],
              ['age', `${now < seen ? '0 seconds' : spanWords(now - seen)}, known complete at ${formatTime(seen)}`],
              ['claim', claim === undefined ? 'none' : `${claim.holder}, since ${formatTime(claim.since)}`],
              [
                'WAL',
                `${formatSize(wal.bytes)} in ${counted(wal.segments, 'segment')} since snapshot ${hex8(snapshot.index)}`,
              ],
              ['restore', `reads ${counted(reads.objects, 'object')}, ${formatSize(reads.bytes)}, from ${snapshotKey}`],
            ]),
            ...warningLines(warnings),
          ],
        };
      }),
    );
  },
};

/** The same report; if the age is beyond the limit, it says so and the exit code is 1. */
function judged(maxAge: number | undefined, report: Report): Report {
  const age = 1000 * (report.document['ageSeconds'] as number);
  if (maxAge === undefined || age <= maxAge) return report;
  const line = `too old: ${spanWords(age)}, and at most ${spanWords(maxAge)} is allowed`;
  return { exitCode: EXIT.failed, document: { ...report.document, tooOld: true }, lines: [...report.lines, line] };
}

/** The newest state, if it lies in LTX files of Litestream 0.5. */
async function newestInFiles(
  store: Store,
  timeline: Timeline | undefined,
  ltx: LtxHistory,
): Promise<Restorable | undefined> {
  const state = await chooseIn(store, { timeline, ltx }, LATEST);
  return parseTarget(state.position).kind === 'txid' ? state : undefined;
}

/** An idle database cannot be told from a stopped Litestream, so the age is that of the newest transaction. */
function statusOfFiles(url: string, { position, time, base, more, warnings }: Restorable, now: number): Report {
  const bytes = base.size + more.bytes;
  const objects = 1 + more.objects;
  return {
    exitCode: EXIT.ok,
    document: {
      replica: url,
      generation: null,
      position,
      time: formatTime(time),
      seen: formatTime(time),
      ageSeconds: Number(((now - time) / 1000).toFixed(3)),
      checksum: null,
      claim: null,
      walSinceSnapshot: null,
      restore: { snapshot: base.key, objects, bytes },
      warnings,
    },
    lines: [
      url,
      ...columns([
        ['written by', 'Litestream 0.5'],
        ['position', position],
        ['time', momentWords(time, now)],
        ['age', now < time ? '0 seconds' : spanWords(now - time)],
        ['restore', `reads ${counted(objects, 'object')}, ${formatSize(bytes)}, from ${base.key}`],
      ]),
      ...warningLines(warnings),
    ],
  };
}

/** If the end of an index is not known to the byte (another program's WAL), the start of its last segment stands for it. */
function positionOf({ generation, until, indexes, snapshot }: RestorePlan): string {
  const end = indexes.at(-1)?.segments.at(-1) ?? { index: snapshot.index, offset: 0 };
  const place = Number.isSafeInteger(until.offset) && until.offset < Number.MAX_SAFE_INTEGER ? until : end;
  return positionIn(generation, place);
}

function walSince(generation: Generation, index: number): { segments: number; indexes: number; bytes: number } {
  const segments = generation.segments.filter((segment) => segment.index >= index);
  const bytes = segments.reduce((sum, { size }) => sum + size, 0);
  return { segments: segments.length, indexes: new Set(segments.map((segment) => segment.index)).size, bytes };
}

function readsOf({ snapshot, indexes }: RestorePlan): { objects: number; bytes: number } {
  const segments = indexes.flatMap((each) => each.segments);
  return { objects: 1 + segments.length, bytes: segments.reduce((sum, { size }) => sum + size, snapshot.size) };
}
