/** Takes exact numbers of bytes from a stream of buffers, so that decoders need no state between buffers. */
import { corrupt } from '../terms/errors.ts';

export class ByteSource {
  readonly #chunks: AsyncIterator<Buffer>;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #position = 0;

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Bytes taken so far. */
  get position(): number {
    return this.#position;
  }

  /** Exactly `count` bytes. Throws `corrupt` (OBJECT_CUT_SHORT) if the stream ends before. */
  async take(count: number): Promise<Buffer> {
    const bytes = await this.takeUpTo(count);
    if (bytes.length < count) {
      throw corrupt('OBJECT_CUT_SHORT', `ends after ${this.#position} bytes, ${count - bytes.length} bytes too early`);
    }
    return bytes;
  }

  /** `count` bytes, or fewer if the stream ends. */
  async takeUpTo(count: number): Promise<Buffer> {
    await this.#fill(count);
    const first = this.#held[0];
    let bytes: Buffer;
    if (first !== undefined && first.length >= count) {
      bytes = first.subarray(0, count);
      if (first.length === count) this.#held.shift();
      else this.#held[0] = first.subarray(count);
    } else {
      const all = Buffer.concat(this.#held);
      bytes = all.subarray(0, count);
      this.#held = all.length > count ? [all.subarray(count)] : [];
    }
    this.#heldBytes -= bytes.length;
    this.#position += bytes.length;
    return bytes;
  }

  /** The next `count` bytes without taking them; fewer if the stream ends. */
  async peek(count: number): Promise<Buffer> {
    await this.#fill(count);
    const first = this.#held[0];
    if (first !== undefined && first.length >= count) return first.subarray(0, count);
    return Buffer.concat(this.#held).subarray(0, count);
  }

  async #fill(count: number): Promise<void> {
    while (this.#heldBytes < count) {
      const next = await this.#chunks.next();
      if (next.done === true) return;
      this.#held.push(next.value);
      this.#heldBytes += next.value.length;
    }
  }

  /** Ends the underlying stream. Call it if the stream is not read to its end. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}

/** A stream of one buffer. */
// eslint-disable-next-line @typescript-eslint/require-await
export async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
