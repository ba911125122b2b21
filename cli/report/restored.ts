/** The report of a finished restore, done here or by the function. */
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
  /** Frames of WAL that were read; undefined if unknown. */
  readonly frames: number | undefined;
  readonly seconds: number;
}

/** `origin` is added to the report under its own names. */
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

/** What the restore proved, and what it did not. */
export function proofWords({ proof, frames }: Pick<RestoredFile, 'proof' | 'frames'>): string {
  if (proof === 'recorded') return 'the checksum equals the one taken from the live database';
  const own =
    proof === 'files'
      ? 'the checksums in its LTX files hold'
      : frames === undefined
        ? 'the stored objects decoded without errors'
        : frames > 0
          ? 'the checksums in the WAL’s own frames hold'
          : 'the snapshot decoded without errors';
  return `only that ${own}: another program wrote this replica and recorded no database checksum`;
}
