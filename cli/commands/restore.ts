import { formatChecksum } from '../../replica/format/page-hashes.ts';
import { restore, type Restored } from '../../replica/restore.ts';
import { formatTime, LATEST, parseTarget } from '../../replica/target.ts';
import type { Command } from '../command.ts';
import { EXIT, interpret, UsageError } from '../exit-codes.ts';
import { Interruptible } from '../interruption.ts';
import { REPLICA, withStore } from '../replica-place.ts';
import { columns, momentWords, sizeWords } from '../wording.ts';

export const restoreCommand: Command = {
  name: 'restore',
  summary: 'brings a database back from a replica, as it is now or as it was at a moment',
  details: [
    'The file appears under its name only when it is complete and proven; after a failure nothing is left. A point that ' +
      'cannot be restored is an error (exit code 3) that names the nearest ones; an older state never stands in for it.',
  ],
  operands: [REPLICA],
  flags: {
    output: { short: 'o', value: 'file', help: 'where the database goes; must not exist' },
    at: {
      value: 'point',
      help: 'latest (the default), an RFC 3339 time with its zone, or a position as seawall list prints them',
    },
    force: { help: 'replaces an existing file, and removes its -wal and -shm' },
  },
  examples: [
    { line: 'seawall restore s3://backups/app?region=eu-central-1 -o app.db', says: 'the latest state' },
    { line: 'seawall restore ./bucket -o before.db --at 2026-03-01T11:59:00Z', says: 'as it was at a moment' },
    {
      line: 'seawall restore ./bucket -o app.db --at 0123456789abcdef/00000003/00001038 --force',
      says: 'at a position, in place of the present file (stop the app first)',
    },
  ],
  async run(line, terminal) {
    const target = await interpret(() => parseTarget(line.text('at') ?? 'latest'));
    const path = line.required('output', 'file');
    if (path === '-') throw new UsageError('--output must be a file: a database is proven before it is let out');
    const began = performance.now();
    const restored = await withStore(line.operand(0), async (store) => {
      using interruptible = new Interruptible();
      const onProgress = interruptible.wrap(terminal.progress('restore', 'bytes'));
      return await restore(store, path, { target, force: line.has('force'), onProgress });
    });
    const seconds = (performance.now() - began) / 1000;
    const { position, time, pages, pageSize, bytes, checksum, proof, frames } = restored;
    return {
      exitCode: EXIT.ok,
      document: {
        path: restored.path,
        target: target === LATEST ? 'latest' : line.text('at'),
        position,
        time: formatTime(time),
        pages,
        pageSize,
        bytes,
        checksum: formatChecksum(checksum),
        proof,
        frames,
        seconds: Number(seconds.toFixed(3)),
      },
      lines: [
        `restored ${restored.path}`,
        ...columns([
          ['position', position],
          ['time', momentWords(time, Date.now())],
          ['pages', `${pages} of ${pageSize} bytes`],
          ['size', `${sizeWords(bytes)} in ${seconds.toFixed(1)} s`],
          ['checksum', formatChecksum(checksum)],
          ['proof', proofWords(restored)],
        ]),
      ],
    };
  },
};

/** What the restore has proven, and what it has not. */
export function proofWords({ proof, frames }: Pick<Restored, 'proof' | 'frames'>): string {
  if (proof === 'recorded') return 'the checksum equals the one taken from the live database';
  const own = frames > 0 ? 'the checksums in the WAL’s own frames hold' : 'the snapshot decoded without a fault';
  return `only that ${own}: another program wrote this replica, and recorded no checksum of the database`;
}
