import { DEFAULT_RETENTION, retentionPolicy, type RetentionPolicy } from '../../replica/retention/policy.ts';
import { retain, type RetainReport } from '../../replica/retention/retain.ts';
import { formatTime } from '../../replica/target.ts';
import { formatSize } from '../../replica/units.ts';
import type { Command, Flag, JsonDocument } from '../command.ts';
import type { CommandLine } from '../command-line.ts';
import { EXIT, interpret, type ExitCode } from '../exit-codes.ts';
import { REPLICA, withStore } from '../replica-place.ts';
import { counted, spanWords } from '../wording.ts';

/** What decides what is kept; `maintain` has them too. */
export const RETENTION_FLAGS = {
  window: {
    value: 'duration',
    default: spanWords(DEFAULT_RETENTION.window),
    help: 'every moment of the last so long can be restored',
  },
  daily: {
    value: 'count',
    default: String(DEFAULT_RETENTION.daily),
    help: 'beyond the window, the newest snapshot of each of the last so many days',
  },
  weekly: { value: 'count', default: String(DEFAULT_RETENTION.weekly), help: 'the same for weeks' },
  monthly: { value: 'count', default: String(DEFAULT_RETENTION.monthly), help: 'the same for months' },
  grace: {
    value: 'duration',
    default: spanWords(DEFAULT_RETENTION.grace),
    help: 'how long what a running restore may need is kept on',
  },
} as const satisfies Readonly<Record<string, Flag>>;

export async function retentionChoice(line: CommandLine): Promise<RetentionPolicy> {
  return interpret(() => {
    const given = {
      window: line.duration('window'),
      daily: line.count('daily', 0),
      weekly: line.count('weekly', 0),
      monthly: line.count('monthly', 0),
      grace: line.duration('grace'),
    };
    return retentionPolicy(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)));
  });
}

export const retainCommand: Command = {
  name: 'retain',
  summary: 'deletes what is older than you want to keep, and never the last state that can be restored',
  details: [
    'Within the window every moment stays restorable; beyond it the newest snapshots of days, weeks and months are kept. ' +
      'Where deleting would not be safe (a hole in the window, clocks that disagree), nothing is deleted and the exit ' +
      'code is 1. Objects under Object Lock stay until their lock has run out.',
  ],
  operands: [REPLICA],
  flags: { ...RETENTION_FLAGS, 'dry-run': { help: 'only tells what would be deleted' } },
  examples: [
    {
      line: 'seawall retain ./bucket --window 72h --daily 30 --weekly 8 --monthly 12 --dry-run',
      says: 'what would go, and nothing else',
    },
    { line: 'seawall retain ./bucket --window 72h --daily 30 --weekly 8 --monthly 12', says: 'and now really' },
  ],
  async run(line) {
    const policy = await retentionChoice(line);
    return withStore(line.operand(0), async (store) => {
      const report = await retain(store, { policy, now: Date.now(), dryRun: line.has('dry-run') });
      return {
        exitCode: retentionExit(report),
        document: {
          replica: store.url,
          ...retentionDocument(report),
          delete: report.delete.map(({ key, size, reason }) => ({ key, bytes: size, reason })),
          keep: report.keep.map(({ key, size, reasons }) => ({ key, bytes: size, reasons })),
        },
        lines: [
          ...(report.dryRun ? report.delete.map(({ key, size }) => `would delete ${key}  ${formatSize(size)}`) : []),
          ...retentionWords(report),
        ],
      };
    });
  },
};

/** Locked objects are as they should be; whatever else stays, or keeps all from going, is a failure. */
export function retentionExit({ refusals, failures }: RetainReport): ExitCode {
  const failed = refusals.length > 0 || failures.some(({ code }) => code !== 'OBJECT_LOCKED');
  return failed ? EXIT.failed : EXIT.ok;
}

/** All but the keys, of which there may be many. */
export function retentionDocument(report: RetainReport): JsonDocument {
  const { now, policy, dryRun, refusals, kept, planned, freed, failures, abandonedUploads } = report;
  return {
    now: formatTime(now),
    policy: { ...policy },
    dryRun,
    refusals: refusals.map(({ code, message }) => ({ code, message })),
    kept: { ...kept },
    planned: { ...planned },
    freed: { ...freed },
    failures: failures.map(({ key, code, message }) => ({ key, code, message })),
    abandonedUploads,
  };
}

export function retentionWords(report: RetainReport): string[] {
  const { dryRun, refusals, kept, planned, freed, failures, abandonedUploads } = report;
  const went = dryRun ? planned : freed;
  return [
    ...refusals.map(({ message }) => `refused, and nothing was deleted: ${message}`),
    ...failures.map(({ message }) => `not deleted: ${message}`),
    `${dryRun ? 'would delete' : 'deleted'} ${counted(went.objects, 'object')}, ${formatSize(went.bytes)}; ` +
      `${dryRun ? 'would keep' : 'kept'} ${counted(kept.objects, 'object')}, ${formatSize(kept.bytes)}`,
    ...(abandonedUploads === 0 ? [] : [`aborted ${counted(abandonedUploads, 'abandoned upload')}`]),
  ];
}
