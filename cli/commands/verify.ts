import { checkIntegrity } from '../../replica/restore/integrity.ts';
import { formatSize } from '../../replica/terms/units.ts';
import { verify, type VerifyReport } from '../../replica/verification/verify.ts';
import type { Problem } from '../../replica/verification/findings.ts';
import type { Command } from '../command.ts';
import type { JsonDocument } from '../json.ts';
import { EXIT } from '../exit-codes.ts';
import { Interruptible } from '../interruption.ts';
import { REPLICA, withStore } from '../replica-place.ts';
import { counted, warningLines } from '../report/wording.ts';

export const verifyCommand: Command = {
  name: 'verify',
  summary: 'reads and checks every object of a replica, without restoring it',
  details: [
    'It reads every byte: it decodes and hashes snapshots, follows the WAL frame by frame, and computes the database ' +
      'checksum from commit to commit. It prints each damaged object; the exit code is then 4. With --deep it also ' +
      'restores the latest state of each generation and runs SQLite’s own integrity check on it.',
  ],
  operands: [REPLICA],
  flags: {
    deep: { help: 'also restore into a temporary folder and run PRAGMA integrity_check; needs the disk space' },
  },
  examples: [
    { line: 'seawall verify ./bucket', says: 'check all objects' },
    {
      line: 'seawall verify s3://backups/app --deep --json',
      says: 'also restore and run SQLite’s check, for a script',
    },
  ],
  async run(line, terminal) {
    return withStore(line.operand(0), async (store) => {
      using interruptible = new Interruptible();
      const onProgress = interruptible.wrap(terminal.progress('verify', 'objects'));
      const deep = line.has('deep') ? { deep: { integrity: checkIntegrity } } : {};
      const report = await verify(store, { onProgress, ...deep });
      return {
        exitCode: report.problems.length === 0 ? EXIT.ok : EXIT.corrupt,
        document: { replica: store.url, ok: report.problems.length === 0, deep: line.has('deep'), ...plain(report) },
        lines: wordsOf(store.url, report),
      };
    });
  },
};

function plain(report: VerifyReport): JsonDocument {
  const { objects, bytes, snapshots, segments, commits, proof } = report;
  const found = ({ key, code, message }: Problem): JsonDocument => ({ key, code, message });
  return {
    objects,
    bytes,
    snapshots,
    segments,
    commits,
    proof: { ...proof },
    generations: report.generations.map(({ id, proof: proven, ...rest }) => ({
      generation: id,
      ...rest,
      proof: { ...proven },
    })),
    problems: report.problems.map(found),
    warnings: report.warnings.map(found),
  };
}

function wordsOf(url: string, report: VerifyReport): string[] {
  const { objects, bytes, snapshots, segments, commits, generations, problems, warnings, proof } = report;
  const read =
    `read ${counted(objects, 'object')}, ${formatSize(bytes)}: ${counted(snapshots, 'snapshot')} and ` +
    `${counted(segments, 'segment')} with ${counted(commits, 'commit')}, in ${counted(generations.length, 'generation')}`;
  const unproven =
    proof.frames === 0
      ? []
      : [`${counted(proof.frames, 'object')} proven only by the WAL’s own checksums: another program wrote them`];
  const verdict =
    problems.length === 0 ? `${url}: no problems found` : `${url}: ${counted(problems.length, 'problem')} found`;
  return [
    read,
    ...unproven,
    ...warningLines(warnings.map(({ message }) => message)),
    ...problems.map(({ key, message }) => `problem: ${message.includes(key) ? message : `${key}: ${message}`}`),
    verdict,
  ];
}
