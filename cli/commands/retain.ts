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
