import { compact } from '../../replica/compaction/compact.ts';
import type { Command } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { Interruptible } from '../interruption.ts';
import { REPLICA, withStore } from '../replica-place.ts';
import { COMPACTION_FLAGS, compactionChoice } from '../policy-flags.ts';
import { compactionDocument, compactionWords } from '../report/compaction.ts';

export const compactCommand: Command = {
  name: 'compact',
  summary: 'makes a newer snapshot from a replica’s last one and the WAL after it, so that restores stay short',
  details: [
    'Nothing is deleted. Running it twice, at the same time, or killing it in the middle does no harm: the snapshot ' +
      'appears whole and proven, or not at all. Where the policy says that it is not worth it yet, nothing is done, ' +
      'and the exit code is 0.',
  ],
  operands: [REPLICA],
  flags: { ...COMPACTION_FLAGS, force: { help: 'compact whenever there is a finished WAL index' } },
  examples: [
    { line: 'seawall compact ./bucket', says: 'if it is worth it' },
    { line: 'seawall compact ./bucket --force --codec zstd', says: 'in any case, into a smaller snapshot' },
  ],
  async run(line, terminal) {
    const chosen = await compactionChoice(line);
    const choice = line.has('force') ? { ...chosen, policy: 'always' as const } : chosen;
    return withStore(line.operand(0), async (store) => {
      using interruptible = new Interruptible();
      const onProgress = interruptible.wrap(terminal.progress('compact', 'bytes'));
      const outcome = await compact(store, { ...choice, now: Date.now(), onProgress });
      return {
        exitCode: EXIT.ok,
        document: { replica: store.url, ...compactionDocument(outcome) },
        lines: [compactionWords(outcome)],
      };
    });
  },
};
