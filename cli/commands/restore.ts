import { formatChecksum } from '../../replica/format/page-hashes.ts';
import { restore } from '../../replica/restore/restore.ts';
import { SeawallError } from '../../replica/terms/errors.ts';
import { formatTime, parseTarget, type Target } from '../../replica/terms/target.ts';
import type { Command } from '../command.ts';
import { missingOperand } from '../command-line.ts';
import { interpret, UsageError } from '../exit-codes.ts';
import { Interruptible } from '../interruption.ts';
import { REPLICA, withStore } from '../replica-place.ts';
import { restoreByFunction } from '../lambda/restore-by-function.ts';
import { restoredReport } from '../report/restored.ts';

/** By how much clocks may differ, milliseconds: times are those of the machine that wrote. */
const CLOCKS_DIFFER = 5 * 60_000;

export const restoreCommand: Command = {
  name: 'restore',
  summary: 'brings a database back from a replica, as it is now or as it was at a moment',
  details: [
    'The file appears under its name only when it is complete and proven; after a failure nothing is left. A point that ' +
      'cannot be restored is an error (exit code 3) that names the nearest ones; an older state never stands in for it.',
    'With --lambda, the restore function of the stack does it, and only the right to invoke it is needed. What it made is ' +
      'fetched by the link that it answers, and compared with its checksum. Needs the package @aws-sdk/client-lambda.',
  ],
  operands: [{ ...REPLICA, optional: true }],
  flags: {
    output: { short: 'o', value: 'file', help: 'where the database goes; must not exist' },
    at: {
      value: 'point',
      help: 'latest (the default), an RFC 3339 time with its zone, or a position as seawall list prints them',
    },
    force: { help: 'replaces an existing file, and removes its -wal and -shm' },
    lambda: { value: 'function', help: 'name or ARN of the restore function, in place of the replica' },
    database: { value: 'name', help: 'with --lambda: which database, as in the replica’s URL below the root' },
    region: { value: 'region', help: 'with --lambda: where the function is, unless its ARN or AWS_REGION says so' },
  },
  examples: [
    { line: `seawall restore 's3://backups/app?region=eu-central-1' -o app.db`, says: 'the latest state' },
    { line: 'seawall restore ./bucket -o before.db --at 2026-03-01T11:59:00Z', says: 'as it was at a moment' },
    {
      line: 'seawall restore ./bucket -o app.db --at 0123456789abcdef/00000003/00001038 --force',
      says: 'at a position, in place of the present file (stop the app first)',
    },
    {
      line: 'seawall restore --lambda backup-restore --database app -o app.db --region eu-central-1',
      says: 'by the restore function of the stack',
    },
  ],
  async run(line, terminal) {
    const at = line.text('at') ?? 'latest';
    const target = await interpret(() => parseTarget(at));
    const path = line.required('output', 'file');
    if (path === '-') throw new UsageError('--output must be a file: a database is proven before it is let out');
    const force = line.has('force');
    // There the function's clock tells what is still to come.
    if (line.has('lambda')) return restoreByFunction(line, terminal, { at, path, force });
    refuseFuture(target, Date.now());
    for (const flag of ['database', 'region']) {
      if (line.has(flag)) throw new UsageError(`--${flag} goes with --lambda; without it, the replica’s URL says that`);
    }
    const replica = line.optionalOperand(0);
    if (replica === undefined) throw missingOperand(REPLICA);
    const began = performance.now();
    const restored = await withStore(replica, async (store) => {
      using interruptible = new Interruptible();
      const onProgress = interruptible.wrap(terminal.progress('restore', 'bytes'));
      return await restore(store, path, { target, force, onProgress });
    });
    const { position, time, pages, pageSize, bytes, proof, frames } = restored;
    return restoredReport({
      path: restored.path,
      target: at,
      position,
      time,
      pages,
      pageSize,
      bytes,
      checksum: formatChecksum(restored.checksum),
      proof,
      frames,
      seconds: (performance.now() - began) / 1000,
      warnings: restored.warnings,
    });
  },
};

/** A year mistyped must not bring the latest state: what will be then is not known yet. */
function refuseFuture(target: Target, now: number): void {
  if (target.kind !== 'time' || target.time <= now + CLOCKS_DIFFER) return;
  const message = `${formatTime(target.time)} is still to come: it is ${formatTime(now)} now. Nearest before: latest.`;
  throw new SeawallError('point', 'FUTURE_TIME', message, { before: 'latest' });
}
