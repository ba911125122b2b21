import { compact } from '../../replica/compaction/compact.ts';
import type { Command } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { Interruptible } from '../interruption.ts';
import { REPLICA, withStore } from '../replica-place.ts';
import { COMPACTION_FLAGS, compactionChoice } from '../policy-flags.ts';
import { compactionDocument, compactionWords } from '../report/compaction.ts';

export const compactCommand: Command = {
  name: 'compact',
  summary: 'makes a new snapshot from the last one and the WAL after it, so that restores stay short',
  details: [
    'Nothing is deleted. Running it twice, even at the same time, or killing it does no harm: the snapshot ' +
      'appears whole and proven, or not at all. If a new snapshot is not worth it yet by the policy, nothing is done ' +
      'and the exit code is 0.',
  ],
  operands: [REPLICA],
  flags: { ...COMPACTION_FLAGS, force: { help: 'compact if there is any finished WAL index' } },
  examples: [
    { line: 'seawall compact ./bucket', says: 'if the policy says so' },
    {
      line: 'seawall compact ./bucket --force --codec zstd',
      says: 'whatever the policy says, into a smaller snapshot',
    },
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
