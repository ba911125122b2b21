import { formatChecksum } from '../../replica/format/page-hashes.ts';
import { restore } from '../../replica/restore/restore.ts';
import { SeawallError } from '../../replica/terms/errors.ts';
import { formatTarget, formatTime, parseTargetAt, type Target } from '../../replica/terms/target.ts';
import type { Command, Report } from '../command.ts';
import { missingOperand, type CommandLine } from '../command-line.ts';
import { EXIT, interpret, UsageError } from '../exit-codes.ts';
import { Interruptible } from '../interruption.ts';
import { REPLICA, withStore } from '../replica-place.ts';
import { restoreByFunction } from '../lambda/restore-by-function.ts';
import { restoredReport } from '../report/restored.ts';
import { columns, counted, momentWords, warningLines } from '../report/wording.ts';
import { formatSize } from '../../replica/terms/units.ts';
import { choose } from '../../replica/restore/choose.ts';

/** How far clocks may differ, milliseconds: a replica's times are by the clock of the machine that wrote it. */
const CLOCKS_DIFFER = 5 * 60_000;

export const restoreCommand: Command = {
  name: 'restore',
  summary: 'restores a database from a replica: its latest state, or the state at a moment',
  details: [
    'The file appears under its name only when it is complete and proven; after a failure nothing is left behind. If the ' +
      'point cannot be restored, the exit code is 3 and the error names the nearest points: an older state is never ' +
      'restored in its place.',
    'With --lambda, the restore function of the stack does the work, and you need only the right to invoke it. The file is ' +
      'downloaded by the link in its answer and compared with its checksum. Needs the package @aws-sdk/client-lambda.',
  ],
  operands: [{ ...REPLICA, optional: true }],
  flags: {
    output: { short: 'o', value: 'file', help: 'the file to restore to; must not exist' },
    at: {
      value: 'point',
      help: "latest (the default), an RFC 3339 time with its zone, a span such as -5m or '5 minutes ago', or a position as seawall list prints them",
    },
    'dry-run': { help: 'only tell which state it would be and what a restore would read' },
    force: { help: 'replace an existing file, and remove its -wal and -shm' },
    lambda: { value: 'function', help: 'name or ARN of the restore function, instead of a replica' },
    database: { value: 'name', help: 'with --lambda: the database’s path below the root, as in its replica’s URL' },
    region: { value: 'region', help: 'with --lambda: the function’s region, unless its ARN or AWS_REGION says it' },
  },
  examples: [
    { line: `seawall restore 's3://backups/app?region=eu-central-1' -o app.db`, says: 'the latest state' },
    { line: 'seawall restore ./bucket -o before.db --at 2026-03-01T11:59:00Z', says: 'as it was at a moment' },
    {
      line: 'seawall restore ./bucket -o app.db --at 0123456789abcdef/00000003/00001038 --force',
      says: 'at a position, replacing the current file (stop the app first)',
    },
    {
      line: 'seawall restore --lambda backup-restore --database app -o app.db --region eu-central-1',
      says: 'by the restore function of the stack',
    },
  ],
  async run(line, terminal) {
    const at = line.text('at') ?? 'latest';
    const target = await interpret(() => parseTargetAt(at, Date.now()));
    if (line.has('dry-run')) return dryRun(line, target);
    const path = line.required('output', 'file');
    if (path === '-') throw new UsageError('--output must be a file: a database is proven before anything can read it');
    const force = line.has('force');
    // With --lambda, the function's clock decides what is in the future.
    if (line.has('lambda')) return restoreByFunction(line, terminal, { at: formatTarget(target), path, force });
    const replica = replicaFor(line, target);
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

/** The replica, for a restore without the function. */
function replicaFor(line: CommandLine, target: Target): string {
  refuseFuture(target, Date.now());
  for (const flag of ['database', 'region']) {
    if (line.has(flag)) throw new UsageError(`--${flag} works only with --lambda; otherwise the replica’s URL says it`);
  }
  const replica = line.optionalOperand(0);
  if (replica === undefined) throw missingOperand(REPLICA);
  return replica;
}

/** What a restore would bring back and read. Reads no page: that the objects are sound is shown by `seawall verify`. */
async function dryRun(line: CommandLine, target: Target): Promise<Report> {
  for (const flag of ['lambda', 'force']) {
    if (line.has(flag)) throw new UsageError(`--dry-run does not go with --${flag}`);
  }
  return withStore(replicaFor(line, target), async (store) => {
    const { position, time, proof, base, more, warnings } = await choose(store, target);
    const [objects, bytes] = [1 + more.objects, base.size + more.bytes];
    return {
      exitCode: EXIT.ok,
      document: { position, time: formatTime(time), proof, objects, bytes, snapshot: base.key, warnings },
      lines: [
        'nothing is written; a restore would bring back',
        ...columns([
          ['position', position],
          ['time', momentWords(time, Date.now())],
          ['reads', `${counted(objects, 'object')}, ${formatSize(bytes)}, from ${base.key}`],
          ['proof', proof === 'recorded' ? 'the checksum taken from the live database' : 'the checksums of the WAL'],
        ]),
        ...warningLines(warnings),
      ],
    };
  });
}

/** A mistyped year must not restore the latest state. */
function refuseFuture(target: Target, now: number): void {
  if (target.kind !== 'time' || target.time <= now + CLOCKS_DIFFER) return;
  const message = `${formatTime(target.time)} is in the future: it is ${formatTime(now)} now. Nearest before: latest.`;
  throw new SeawallError('point', 'FUTURE_TIME', message, { before: 'latest' });
}
