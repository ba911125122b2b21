/**
 * Staging: segments that were captured and are not in the bucket yet.
 *
 * In fair weather it is empty: frames stay in the WAL until their segment is uploaded. When the WAL must move on
 * before (the store is slow or away), segments wait here, in files under their keys' order, up to a bound.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { CapturedSegment } from './capture.ts';

interface Waiting {
  readonly segment: CapturedSegment;
  /** Set when the bytes are in a file instead of in memory. */
  readonly file: string | undefined;
  readonly size: number;
}

export class Staging {
  readonly #folder: string;
  readonly #memoryLimit: number;
  readonly #diskLimit: number;
  #waiting: Waiting[] = [];
  #memory = 0;
  #disk = 0;
  #count = 0;

  /** Empties the folder: what a former process left there cannot be continued without its memory. */
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

  /** Bytes that wait, in memory and on disk. */
  get bytes(): number {
    return this.#memory + this.#disk;
  }

  /** Adds a segment. False when the bound is reached: then nothing was added and continuity must be given up. */
  push(segment: CapturedSegment): boolean {
    const size = segment.bytes.length;
    if (this.#memory + size <= this.#memoryLimit) {
      this.#waiting.push({ segment, file: undefined, size });
      this.#memory += size;
      return true;
    }
    if (this.#disk + size > this.#diskLimit) return false;
    const file = join(this.#folder, `${String(this.#count++).padStart(12, '0')}.segment`);
    writeDurably(file, segment.bytes);
    this.#waiting.push({ segment: { ...segment, bytes: Buffer.alloc(0) }, file, size });
    this.#disk += size;
    return true;
  }

  /** The oldest segment, with its bytes. */
  first(): CapturedSegment | undefined {
    const waiting = this.#waiting[0];
    if (waiting?.file === undefined) return waiting?.segment;
    return { ...waiting.segment, bytes: readFileSync(waiting.file) };
  }

  /** Forgets the oldest segment, once it is in the bucket. */
  shift(): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) return;
    this.#release(waiting);
  }

  clear(): void {
    for (const waiting of this.#waiting) this.#release(waiting);
    this.#waiting = [];
  }

  #release(waiting: Waiting): void {
    if (waiting.file === undefined) this.#memory -= waiting.size;
    else {
      this.#disk -= waiting.size;
      rmSync(waiting.file, { force: true });
    }
  }
}

function writeDurably(path: string, bytes: Buffer): void {
  const fd = openSync(path, 'w', 0o600);
  try {
    let at = 0;
    while (at < bytes.length) at += writeSync(fd, bytes, at);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
