/** A copy of the restored database on the function's own disk, for SQLite's check. */
import { randomBytes } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { checkIntegrity } from '../../replica/restore/integrity.ts';
import { formatSize } from '../../replica/terms/units.ts';
import { TargetFile } from '../../replica/image/to-file/target-file.ts';
import { FunctionFailure } from '../failure.ts';

/** Bytes that SQLite needs beside the file. */
const SPARE = 16 << 20;

export class ScratchCopy implements AsyncDisposable {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #written: TargetFile;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
    this.#written = new TargetFile(file);
  }

  /** @throws FunctionFailure (NO_ROOM) if the disk has too little space for the database */
  static async in(folder: string, bytes: number, room: number): Promise<ScratchCopy> {
    if (room < bytes + SPARE) {
      const message =
        `verify "integrity" needs ${formatSize(bytes + SPARE)} in ${folder}, and ${formatSize(room)} are free. ` +
        `Give the function more ephemeral storage, or ask for verify "checksum", which needs none.`;
      throw new FunctionFailure('local', 'NO_ROOM', message, { path: folder, expected: bytes + SPARE, actual: room });
    }
    const path = join(folder, `restore-${randomBytes(8).toString('hex')}.db`);
    return new ScratchCopy(path, await open(path, 'wx', 0o600));
  }

  write(piece: Buffer, offset: number): Promise<void> {
    return this.#written.write(piece, offset);
  }

  /** @throws FunctionFailure (DATABASE_INTEGRITY) if SQLite finds damage; the message lists the first findings */
  async check(): Promise<void> {
    await this.#written.settle();
    const findings = await checkIntegrity(this.#path);
    if (findings.length === 0) return;
    const message =
      `the restored database equals what was backed up, but SQLite finds it damaged: ${findings.slice(0, 3).join('; ')}. ` +
      `It was not put into the bucket. Restore an earlier moment, or with verify "checksum" to salvage from this one.`;
    throw new FunctionFailure('corrupt', 'DATABASE_INTEGRITY', message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
    for (const suffix of ['', '-wal', '-shm', '-journal']) await rm(`${this.#path}${suffix}`, { force: true });
  }
}
