/** Reads one WAL index from its first byte on, and checks every frame against the checksum chain. */
import { corrupt } from '../terms/errors.ts';
import { formatPosition } from '../terms/position.ts';
import type { WalSum } from './checksum.ts';
import {
  FRAME_HEADER_SIZE,
  frameFault,
  frameSize,
  parseFrameHeader,
  parseWalHeader,
  WAL_HEADER_SIZE,
  type WalHeader,
} from './format.ts';

export interface Frame {
  readonly page: number;
  /** Pages of the database after this commit; 0 if the frame is not a commit. */
  readonly commitPages: number;
  readonly content: Buffer;
  /** The byte after this frame in the WAL file. */
  readonly end: number;
}

export class WalCursor {
  readonly #generation: string;
  readonly #index: number;
  #wal: WalHeader | undefined;
  #sum: WalSum = { s1: 0, s2: 0 };
  #offset = 0;
  #rest: Buffer = Buffer.alloc(0);
  #lastWasCommit = true;

  constructor(generation: string, index: number) {
    this.#generation = generation;
    this.#index = index;
  }

  get header(): WalHeader | undefined {
    return this.#wal;
  }

  /** The checksum of the last frame so far (before the first one, the header's). */
  get sum(): WalSum {
    return this.#sum;
  }

  /** Bytes read so far, whole frames only. */
  get offset(): number {
    return this.#offset;
  }

  /** Whether the bytes so far end with a commit, or hold no frame. */
  get atCommit(): boolean {
    return this.#lastWasCommit && this.#rest.length === 0;
  }

  /** Takes the next bytes of the WAL file. Returns the frames that they complete. Throws `corrupt` (WAL_…). */
  feed(bytes: Buffer): Frame[] {
    let data = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    if (this.#wal === undefined) {
      if (data.length < WAL_HEADER_SIZE) {
        this.#rest = data;
        return [];
      }
      this.#wal = parseWalHeader(data);
      this.#sum = this.#wal.sum;
      this.#offset = WAL_HEADER_SIZE;
      data = data.subarray(WAL_HEADER_SIZE);
    }
    const size = frameSize(this.#wal.pageSize);
    const frames: Frame[] = [];
    let at = 0;
    for (; at + size <= data.length; at += size) {
      const frame = data.subarray(at, at + size);
      const header = parseFrameHeader(frame);
      const fault = frameFault(this.#wal, this.#sum, frame, header);
      if (fault !== undefined) {
        const position = this.#position(this.#offset);
        throw corrupt('WAL_CHAIN', `the frame at ${position} breaks the WAL's chain (${fault})`, { position });
      }
      this.#sum = header.sum;
      this.#offset += size;
      this.#lastWasCommit = header.commitPages !== 0;
      const content = frame.subarray(FRAME_HEADER_SIZE);
      frames.push({ page: header.page, commitPages: header.commitPages, content, end: this.#offset });
    }
    this.#rest = at === data.length ? Buffer.alloc(0) : Buffer.from(data.subarray(at));
    return frames;
  }

  #position(offset: number): string {
    return formatPosition({ generation: this.#generation, index: this.#index, offset });
  }
}
