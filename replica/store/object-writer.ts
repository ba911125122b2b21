/**
 * Writes an object of unknown length as it is produced: in parts when it is large, in one put when it is small.
 *
 * The first bytes are given last, because a header tells what only the end of the content shows. So the first part is
 * held back until `finish`. Nothing is visible before that, and nothing stays behind after `abort`.
 */
import type { PutResult, Store, Upload } from './store.ts';

const LEAST_PART = 8 << 20;
const MIB = 1 << 20;

export interface ObjectWriterOptions {
  /** Bytes at the start that `finish` supplies. */
  readonly headLength: number;
  /** No more bytes than this will be written; decides the part size. */
  readonly sizeBound: number;
  /** Parts on their way at the same time. */
  readonly concurrency?: number;
}

export class ObjectWriter {
  readonly #store: Store;
  readonly #key: string;
  readonly #headLength: number;
  readonly #partSize: number;
  readonly #concurrency: number;
  readonly #inFlight = new Set<Promise<void>>();
  #chunks: Buffer[] = [];
  #chunkBytes = 0;
  #first: Buffer[] | undefined;
  #upload: Upload | undefined;
  #parts = 0;
  #position: number;
  #failure: unknown;

  constructor(store: Store, key: string, options: ObjectWriterOptions) {
    this.#store = store;
    this.#key = key;
    this.#headLength = options.headLength;
    this.#partSize = partSizeFor(store, options.sizeBound);
    this.#concurrency = options.concurrency ?? 3;
    this.#position = options.headLength;
  }

  /** Offset in the object at which the next appended byte will stand. */
  get position(): number {
    return this.#position;
  }

  /** Takes the next bytes. Waits while too many parts are on their way. The buffer must not change afterwards. */
  async append(chunk: Buffer): Promise<void> {
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.length;
    this.#position += chunk.length;
    if (this.#chunkBytes + (this.#first === undefined ? this.#headLength : 0) >= this.#partSize) await this.#cut();
  }

  /** Supplies the first bytes and makes the object visible; `conflict` with 'absent' when it is there already. */
  async finish(head: Buffer, condition?: 'absent'): Promise<PutResult> {
    if (head.length !== this.#headLength) throw new RangeError(`head of ${head.length} bytes, not ${this.#headLength}`);
    try {
      if (this.#upload === undefined) {
        const body = Buffer.concat([head, ...(this.#first ?? []), ...this.#chunks]);
        return await this.#store.put(this.#key, body, condition);
      }
      if (this.#chunkBytes > 0) await this.#cut();
      await Promise.all(this.#inFlight);
      this.#throwFailure();
      await this.#upload.put(1, Buffer.concat([head, ...(this.#first ?? [])]));
      return await this.#upload.complete(condition);
    } catch (error) {
      await this.abort();
      throw error;
    }
  }

  async abort(): Promise<void> {
    await Promise.allSettled(this.#inFlight);
    await this.#upload?.abort();
  }

  async #cut(): Promise<void> {
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#chunkBytes = 0;
    this.#parts++;
    if (this.#first === undefined) {
      this.#first = chunks;
      return;
    }
    this.#upload ??= await this.#store.upload(this.#key);
    const sending = this.#upload
      .put(this.#parts, Buffer.concat(chunks))
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => this.#inFlight.delete(sending));
    this.#inFlight.add(sending);
    while (this.#inFlight.size >= this.#concurrency) await Promise.race(this.#inFlight);
    this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** Bytes of a part, so that `sizeBound` bytes fit into the store's number of parts. */
export function partSizeFor(store: Pick<Store, 'limits'>, sizeBound: number): number {
  const { minPart, maxParts } = store.limits;
  const needed = Math.ceil(sizeBound / (maxParts - 2));
  return Math.ceil(Math.max(needed, LEAST_PART, minPart) / MIB) * MIB;
}
