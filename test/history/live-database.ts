/** A real SQLite database in WAL mode, of which every committed state and every new WAL byte is taken. */
import { closeSync, copyFileSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import {
  frameFault,
  frameSize,
  parseFrameHeader,
  parseWalHeader,
  WAL_HEADER_SIZE,
  type WalHeader,
} from '../../replica/wal/format.ts';
import { SCRATCH_ROOT } from './scratch.ts';
import type { WalSum } from '../../replica/wal/checksum.ts';

export interface LiveOptions {
  readonly pageSize: number;
  readonly autoVacuum: 'none' | 'full' | 'incremental';
}

/** What one step wrote: WAL bytes up to and with its commit frame. */
export interface NewCommit {
  /** WAL bytes since the commit before (or, at the start of an index, since byte 0). */
  readonly raw: Buffer;
  /** The byte of the WAL file after the commit frame. */
  readonly end: number;
  readonly pages: number;
  /** True if this commit restarted the WAL file. */
  readonly restarted: boolean;
}

export class LiveDatabase {
  readonly db: Database.Database;
  readonly path: string;
  readonly #folder: string;
  #wal: WalHeader | undefined;
  #sum: WalSum = { s1: 0, s2: 0 };
  #end = 0;

  constructor(options: LiveOptions) {
    this.#folder = mkdtempSync(join(SCRATCH_ROOT, 'seawall-history-'));
    this.path = join(this.#folder, 'live.db');
    this.db = new Database(this.path);
    this.db.pragma(`page_size = ${options.pageSize}`);
    this.db.pragma(`auto_vacuum = ${options.autoVacuum}`);
    this.db.pragma('journal_mode = WAL');
    this.db.pragma('wal_autocheckpoint = 0');
    this.db.pragma('synchronous = OFF');
    this.db.pragma('secure_delete = OFF');
    this.checkpoint('TRUNCATE');
  }

  /** The committed state, byte for byte as a checkpoint would leave it in the file. */
  image(): Buffer {
    return this.db.serialize();
  }

  /** The same in another way: a copy of database and WAL, opened by SQLite elsewhere and checkpointed. */
  checkpointedCopy(): Buffer {
    const folder = mkdtempSync(join(SCRATCH_ROOT, 'seawall-copy-'));
    try {
      const path = join(folder, 'copy.db');
      copyFileSync(this.path, path);
      copyFileSync(`${this.path}-wal`, `${path}-wal`);
      return openAndRead(path);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  /** The bytes of the database file, without the WAL. */
  file(): Buffer {
    return readFileSync(this.path);
  }

  /** RESTART: the next write restarts the WAL file. TRUNCATE: the file is also emptied at once. */
  checkpoint(mode: 'RESTART' | 'TRUNCATE'): void {
    const [outcome] = this.db.pragma(`wal_checkpoint(${mode})`) as {
      busy: number;
      log: number;
      checkpointed: number;
    }[];
    if (outcome?.busy !== 0) throw new Error(`checkpoint was busy: ${JSON.stringify(outcome)}`);
  }

  /** Runs a step; returns the commit it made, if it made one that changed pages. Throws if it made several. */
  commitOf(step: (db: Database.Database) => void): NewCommit | undefined {
    step(this.db);
    const header = readAt(`${this.path}-wal`, 0, WAL_HEADER_SIZE);
    if (header.length < WAL_HEADER_SIZE) return undefined;
    const wal = parseWalHeader(header);
    const restarted = wal.salt1 !== this.#wal?.salt1;
    if (restarted) {
      this.#wal = wal;
      this.#sum = wal.sum;
      this.#end = WAL_HEADER_SIZE;
    }
    const size = frameSize(wal.pageSize);
    const found: { end: number; pages: number; sum: WalSum }[] = [];
    let sum = this.#sum;
    const tail = readAt(`${this.path}-wal`, this.#end, Number.MAX_SAFE_INTEGER);
    for (let at = 0; at + size <= tail.length; at += size) {
      const frame = tail.subarray(at, at + size);
      const parsed = parseFrameHeader(frame);
      if (frameFault(wal, sum, frame, parsed) !== undefined) break;
      sum = parsed.sum;
      if (parsed.commitPages > 0) found.push({ end: this.#end + at + size, pages: parsed.commitPages, sum });
    }
    const [commit, another] = found;
    if (another !== undefined) throw new Error('a step made two commits; the state between them was not seen');
    if (commit === undefined) {
      if (restarted) this.#wal = undefined;
      return undefined;
    }
    const raw = Buffer.from(tail.subarray(0, commit.end - this.#end));
    this.#sum = commit.sum;
    this.#end = commit.end;
    return { raw: restarted ? Buffer.concat([header, raw]) : raw, end: commit.end, pages: commit.pages, restarted };
  }

  close(): void {
    this.db.close();
    rmSync(this.#folder, { recursive: true });
  }
}

/** Lets SQLite recover a database from its WAL, checkpoint it and close; returns the file. */
export function openAndRead(path: string): Buffer {
  const db = new Database(path);
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
  return readFileSync(path);
}

function readAt(path: string, from: number, most: number): Buffer {
  const fd = openSync(path, 'r');
  try {
    const chunks: Buffer[] = [];
    for (let at = from; at - from < most;) {
      const chunk = Buffer.allocUnsafe(Math.min(1 << 20, most - (at - from)));
      const bytes = readSync(fd, chunk, 0, chunk.length, at);
      if (bytes === 0) break;
      chunks.push(chunk.subarray(0, bytes));
      at += bytes;
    }
    return Buffer.concat(chunks);
  } finally {
    closeSync(fd);
  }
}
