import { retain } from '../../replica/retention/retain.ts';
import { formatSize } from '../../replica/terms/units.ts';
import type { Command } from '../command.ts';
import { REPLICA, withStore } from '../replica-place.ts';
import { RETENTION_FLAGS, retentionChoice } from '../policy-flags.ts';
import { retentionDocument, retentionExit, retentionWords } from '../report/retention.ts';

export const retainCommand: Command = {
  name: 'retain',
  summary: 'deletes what is older than you want to keep, and never the last state that can be restored',
  details: [
    'Every moment within the window stays restorable. Beyond it, the newest snapshot of each day, week and month is kept. ' +
      'If deleting is not safe (a hole in the window, clocks that disagree), nothing is deleted and the exit code is 1. ' +
      'Objects under Object Lock stay until the lock expires.',
  ],
  operands: [REPLICA],
  flags: { ...RETENTION_FLAGS, 'dry-run': { help: 'only print what would be deleted' } },
  examples: [
    {
      line: 'seawall retain ./bucket --window 72h --daily 30 --weekly 8 --monthly 12 --dry-run',
      says: 'show what would be deleted',
    },
    { line: 'seawall retain ./bucket --window 72h --daily 30 --weekly 8 --monthly 12', says: 'delete it' },
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
