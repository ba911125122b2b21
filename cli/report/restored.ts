/** What a restore says when it is done, whoever did the work. */
import type { RestoredFacts } from '../../replica/restore/restored-facts.ts';
import type { Report } from '../command.ts';
import type { JsonDocument } from '../json.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTime } from '../../replica/terms/target.ts';
import { columns, momentWords, sizeWords, warningLines } from './wording.ts';

export interface RestoredFile extends Omit<RestoredFacts, 'time'> {
  readonly path: string;
  /** The point as it was asked for. */
  readonly target: string;
  /** When the restored state was captured, milliseconds since 1970. */
  readonly time: number;
  /** Frames of WAL that were read; undefined where that is not known. */
  readonly frames: number | undefined;
  readonly seconds: number;
}

/** `origin` is told besides, by its names. */
export function restoredReport(facts: RestoredFile, origin: Readonly<Record<string, string>> = {}): Report {
  const { path, time, seconds, pages, pageSize, bytes, ...rest } = facts;
  const document: JsonDocument = {
    path,
    ...origin,
    ...rest,
    time: formatTime(time),
    pages,
    pageSize,
    bytes,
    seconds: Number(seconds.toFixed(3)),
  };
  return {
    exitCode: EXIT.ok,
    document,
    lines: [
      `restored ${path}`,
      ...columns([
        ...Object.entries(origin),
        ['position', facts.position],
        ['time', momentWords(time, Date.now())],
        ['pages', `${pages} of ${pageSize} bytes`],
        ['size', `${sizeWords(bytes)} in ${seconds.toFixed(1)} s`],
        ['checksum', facts.checksum],
        ['proof', proofWords(facts)],
      ]),
      ...warningLines(facts.warnings),
    ],
  };
}

/** What the restore has proven, and what it has not. */
export function proofWords({ proof, frames }: Pick<RestoredFile, 'proof' | 'frames'>): string {
  if (proof === 'recorded') return 'the checksum equals the one taken from the live database';
  const own =
    proof === 'files'
      ? 'the checksums in its LTX files hold'
      : frames === undefined
        ? 'the stored objects decoded without a fault'
        : frames > 0
          ? 'the checksums in the WAL’s own frames hold'
          : 'the snapshot decoded without a fault';
  return `only that ${own}: another program wrote this replica, and recorded no checksum of the database`;
}
