import { formatTime, type RetainReport } from '../../replica/index.ts';
import { formatSize } from '../../replica/terms/units.ts';
import { type ExitCode, EXIT } from '../exit-codes.ts';
import type { JsonDocument } from '../json.ts';
import { counted } from './wording.ts';

/** Locked objects stay as intended. Any other object that could not be deleted, and any refusal, is a failure. */
export function retentionExit({ refusals, failures }: RetainReport): ExitCode {
  const failed = refusals.length > 0 || failures.some(({ code }) => code !== 'OBJECT_LOCKED');
  return failed ? EXIT.failed : EXIT.ok;
}

/** Everything but the keys: there may be many. */
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
    ...refusals.map(({ message }) => `nothing was deleted: ${message}`),
    ...failures.map(({ message }) => `not deleted: ${message}`),
    `${dryRun ? 'would delete' : 'deleted'} ${counted(went.objects, 'object')}, ${formatSize(went.bytes)}; ` +
      `${dryRun ? 'would keep' : 'kept'} ${counted(kept.objects, 'object')}, ${formatSize(kept.bytes)}`,
    ...(abandonedUploads === 0 ? [] : [`aborted ${counted(abandonedUploads, 'abandoned upload')}`]),
  ];
}
