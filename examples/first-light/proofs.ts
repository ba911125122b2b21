/** Proofs about a restored database. Every proof says what it compared, whether it holds or not. */
import Database from 'better-sqlite3';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import xxhash from 'xxhash-wasm';
import { counted, journalled, sameTotals, type Totals } from './journal.ts';

export interface Proof {
  readonly name: string;
  readonly held: boolean;
  readonly detail: string;
}

export interface Expected {
  /** The checksum that the shipper took from the live database, and the object that records it. */
  readonly checksum: string;
  readonly recorded: string;
  /** The rows that were committed then. */
  readonly totals: Totals;
  /** The file as SQLite itself left it, if that is known. */
  readonly sha256?: string;
}

const hasher = await xxhash();
const LOCK_BYTES = 2 ** 30;

/**
 * The database checksum of docs/FORMAT.md, computed here from the file alone, without code of Seawall: the
 * XOR of all pages' XXH64, each seeded with its page number, without the page that holds SQLite's lock bytes.
 */
export function checksumOf(file: Buffer): string {
  const stored = file.readUInt16BE(16);
  const pageSize = stored === 1 ? 65536 : stored;
  if (pageSize < 512 || file.length % pageSize !== 0) throw new Error('not a whole number of SQLite pages');
  let checksum = 0n;
  for (let at = 0, page = 1; at < file.length; at += pageSize, page++) {
    if (at !== LOCK_BYTES) checksum ^= hasher.h64Raw(file.subarray(at, at + pageSize), BigInt(page));
  }
  return checksum.toString(16).padStart(16, '0');
}

export function sha256Of(file: Buffer): string {
  return createHash('sha256').update(file).digest('hex');
}

/** Proves that the database at `path` is the one expected. Never throws: a proof that cannot be made does not hold. */
export function proveDatabase(path: string, expected: Expected): Proof[] {
  const proofs = [
    attempt('checksum', () => {
      const checksum = checksumOf(readFileSync(path));
      return checksum === expected.checksum
        ? held(`${checksum}, as recorded ${expected.recorded}`)
        : failed(`${checksum}, but ${expected.checksum} was recorded ${expected.recorded}`);
    }),
  ];
  const { sha256 } = expected;
  if (sha256 !== undefined) {
    proofs.push(
      attempt('every byte', () => {
        const file = readFileSync(path);
        return sha256Of(file) === sha256
          ? held(`${file.length.toLocaleString('en')} bytes, the same as in the lost file after SQLite's own recovery`)
          : failed(`differs from the lost file after SQLite's own recovery (sha256 ${sha256})`);
      }),
    );
  }
  proofs.push(attempt('integrity', () => checkIntegrity(path)));
  proofs.push(attempt('journal', () => checkJournal(path)));
  proofs.push(attempt('rows', () => checkRows(path, expected.totals)));
  return proofs;
}

function formatTotals(totals: Totals): string {
  const of = (count: number, what: string): string => `${count.toLocaleString('en')} ${what}`;
  const { commits, places, visits, revisions } = totals;
  return [of(commits, 'commits'), of(places, 'places'), of(visits, 'visits'), of(revisions, 'revisions')].join(', ');
}

type Outcome = Omit<Proof, 'name'>;

function held(detail: string): Outcome {
  return { held: true, detail };
}

function failed(detail: string): Outcome {
  return { held: false, detail };
}

function attempt(name: string, prove: () => Outcome): Proof {
  try {
    return { name, ...prove() };
  } catch (error) {
    return { name, ...failed(error instanceof Error ? error.message : String(error)) };
  }
}

function checkIntegrity(path: string): Outcome {
  using connection = new Connection(path);
  const [first = { integrity_check: 'no answer' }] = connection.db.pragma('integrity_check') as {
    integrity_check: string;
  }[];
  const orphans = (connection.db.pragma('foreign_key_check') as unknown[]).length;
  if (first.integrity_check !== 'ok') return failed(`integrity_check: ${first.integrity_check}`);
  return orphans === 0 ? held('integrity_check ok, foreign_key_check ok') : failed(`${orphans} rows without parent`);
}

/** Whether the state was committed, rather than a mixture of two states. */
function checkJournal(path: string): Outcome {
  using connection = new Connection(path);
  const said = journalled(connection.db);
  const found = counted(connection.db);
  return sameTotals(said, found)
    ? held(`its last line, of commit ${said.commits.toLocaleString('en')}, agrees with every table`)
    : failed(`its last line says ${formatTotals(said)}, the tables hold ${formatTotals(found)}`);
}

function checkRows(path: string, expected: Totals): Outcome {
  using connection = new Connection(path);
  const found = counted(connection.db);
  return sameTotals(found, expected)
    ? held(formatTotals(found))
    : failed(`${formatTotals(found)}, but expected were ${formatTotals(expected)}`);
}

class Connection implements Disposable {
  readonly db: Database.Database;

  constructor(path: string) {
    this.db = new Database(path, { fileMustExist: true });
  }

  [Symbol.dispose](): void {
    this.db.close();
  }
}
