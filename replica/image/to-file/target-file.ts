/** A file that is written at many places, and goes to the disk while it is. */
import { writeSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { BackgroundSync } from '../../runtime/background-sync.ts';

/** Asking another thread takes longer than copying so few bytes into the system's cache. */
const SMALL = 64 << 10;
/** Bytes after which the disk is set to work. */
const SYNC_EVERY = 64 << 20;

/** What a past state is written into, in any order. */
export interface PageFile {
  /** Writes to different places may run side by side. */
  write(bytes: Buffer, position: number): Promise<void>;
  /** Where threads may write by themselves, if they may; what they wrote is to be told. Negative: nowhere. */
  readonly fd?: number;
  /** Told of bytes that a thread wrote by itself. */
  wrote?(bytes: number): void;
  /** Cuts it off, or fills it up with zeros. */
  truncate(length: number): Promise<void>;
}

/** For whoever wants the proof and not the file. */
export const NOWHERE: PageFile = {
  fd: -1,
  write: () => Promise.resolve(),
  truncate: () => Promise.resolve(),
};

export class TargetFile implements PageFile {
  readonly #file: FileHandle;
  readonly #sync: BackgroundSync;

  constructor(file: FileHandle) {
    this.#file = file;
    this.#sync = new BackgroundSync(file, SYNC_EVERY);
  }

  get fd(): number {
    return this.#file.fd;
  }

  async write(bytes: Buffer, position: number): Promise<void> {
    this.#sync.check();
    for (let at = 0; at < bytes.length;) {
      const length = bytes.length - at;
      at +=
        length <= SMALL
          ? writeSync(this.#file.fd, bytes, at, length, position + at)
          : (await this.#file.write(bytes, at, length, position + at)).bytesWritten;
    }
    this.wrote(bytes.length);
  }

  wrote(bytes: number): void {
    this.#sync.wrote(bytes);
  }

  async truncate(length: number): Promise<void> {
    await this.#file.truncate(length);
  }

  /** Waits for what is under way. What was written is only durable after a sync of its own. */
  async settle(): Promise<void> {
    await this.#sync.settle();
  }
}
