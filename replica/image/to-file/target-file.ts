/** A file that is written at many places, and synced to the disk meanwhile. */
import { writeSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { BackgroundSync } from '../../runtime/background-sync.ts';

/** Copying so few bytes into the system's cache is faster than asking another thread to do it. */
const SMALL = 64 << 10;
/** Bytes after which a sync is started. */
const SYNC_EVERY = 64 << 20;

/** What a past state is written into, in any order. */
export interface PageFile {
  /** Writes to different places may run side by side. */
  write(bytes: Buffer, position: number): Promise<void>;
  /** Where threads may write by themselves; undefined if they must not, negative for nowhere. */
  readonly fd?: number;
  /** Must be told how many bytes threads wrote. */
  /** Told of bytes that a thread wrote by itself. */
  wrote?(bytes: number): void;
  /** Cuts the file off at `length` bytes, or fills it up with zeros. */
  truncate(length: number): Promise<void>;
}

/** For callers that want the proof and not the file. */
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

  /** Waits for the sync under way. What was written is durable only after another sync. */
  async settle(): Promise<void> {
    await this.#sync.settle();
  }
}
