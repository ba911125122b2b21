/**
 * Staging: segments that were captured and are not in the bucket yet.
 *
 * In fair weather it is empty: frames stay in the WAL until their segment is uploaded. When the WAL must move on before
 * (the store is slow or away), segments wait here, in files under their keys' order, up to a bound. Beyond it, or if
 * their disk fails, all of them are dropped at once, and the difference is shipped when the store is back. A copy of
 * every frame on disk would double the writes for the rare case that the store is away.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from '../../../replica/runtime/crc32.ts';
import type { CapturedSegment } from './capture.ts';
import { ContinuityLost } from '../continuity-lost.ts';

interface Waiting {
  readonly segment: CapturedSegment;
  /** The file that has the bytes; undefined if they are in memory. */
  readonly file: string | undefined;
  readonly size: number;
  /** CRC-32 of the file's bytes. */
  readonly crc: number;
}

export class Staging {
  readonly #folder: string;
  readonly #memoryLimit: number;
  readonly #diskLimit: number;
  #waiting: Waiting[] = [];
  #memory = 0;
  #disk = 0;
  #count = 0;

  /**
   * Empties the folder: what an earlier process left there cannot be continued without its memory. Both limits are in
   * bytes.
   */
  constructor(folder: string, limits: { readonly memory: number; readonly disk: number }) {
    this.#folder = folder;
    this.#memoryLimit = limits.memory;
    this.#diskLimit = limits.disk;
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder)) if (name.endsWith('.segment')) rmSync(join(folder, name));
  }

  get length(): number {
    return this.#waiting.length;
  }

  /** Bytes waiting, in memory and on disk. */
  get bytes(): number {
    return this.#memory + this.#disk;
  }

  /**
   * Adds a segment. Throws {@link ContinuityLost} and adds nothing: `staging-full` at the limit or if the disk is full,
   * `staging-lost` if the disk fails otherwise.
   */
  push(segment: CapturedSegment): void {
    const size = segment.bytes.length;
    if (this.#memory + size <= this.#memoryLimit) {
      this.#waiting.push({ segment, file: undefined, size, crc: 0 });
      this.#memory += size;
      return;
    }
    if (this.#disk + size > this.#diskLimit) {
      throw new ContinuityLost(
        'staging-full',
        `captured segments reached the staging limit of ${this.#diskLimit} bytes`,
      );
    }
    const file = join(this.#folder, `${String(this.#count++).padStart(12, '0')}.segment`);
    try {
      // No fsync: the next process cannot use the file (see the constructor), and the app would feel it.
      writeFileSync(file, segment.bytes, { mode: 0o600 });
    } catch (error) {
      dropQuietly(file);
      const full = (error as NodeJS.ErrnoException).code === 'ENOSPC';
      throw new ContinuityLost(full ? 'staging-full' : 'staging-lost', `${file} cannot be written: ${String(error)}`);
    }
    this.#waiting.push({ segment: { ...segment, bytes: NOTHING }, file, size, crc: crc32(segment.bytes) });
    this.#disk += size;
  }

  /** The oldest segment, with its bytes. Throws {@link ContinuityLost} (`staging-lost`) if they cannot be read. */
  first(): CapturedSegment | undefined {
    const waiting = this.#waiting[0];
    if (waiting?.file === undefined) return waiting?.segment;
    let bytes: Buffer;
    try {
      bytes = readFileSync(waiting.file);
    } catch (error) {
      throw new ContinuityLost('staging-lost', `${waiting.file} cannot be read: ${String(error)}`);
    }
    if (crc32(bytes) === waiting.crc) return { ...waiting.segment, bytes };
    throw new ContinuityLost('staging-lost', `${waiting.file} is not as it was written`);
  }

  /** Forgets the oldest segment once it is in the bucket. Returns false if it was already dropped. */
  done(segment: CapturedSegment): boolean {
    if (this.#waiting[0]?.segment.after !== segment.after) return false;
    this.#release(this.#waiting.shift()!);
    return true;
  }

  clear(): void {
    for (const waiting of this.#waiting) this.#release(waiting);
    this.#waiting = [];
  }

  #release(waiting: Waiting): void {
    if (waiting.file === undefined) this.#memory -= waiting.size;
    else {
      this.#disk -= waiting.size;
      dropQuietly(waiting.file);
    }
  }
}

const NOTHING = Buffer.alloc(0);

/** What cannot be deleted now is deleted at the next start. */
function dropQuietly(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // The disk fails; nothing else can be done.
  }
}
