/**
 * Writes an object of unknown length as it is produced: in parts when it is large, in one put when it is small.
 *
 * The first bytes are given last, because a header tells what only the end of the content shows. So the first part is
 * held back until `finish`. Nothing is visible before that, and nothing stays behind after `abort`.
 */
import type { PutResult, Store, Upload } from './store.ts';

const LEAST_PART = 5 << 20;
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
  /** Part buffers that were sent and can be filled again. */
  readonly #spare: Buffer[] = [];
  /** The part being filled, and how far. */
  #part: Buffer;
  #filled: number;
  #first: Buffer | undefined;
  #upload: Upload | undefined;
  #parts = 0;
  #position: number;
  #failure: unknown;

  constructor(store: Store, key: string, options: ObjectWriterOptions) {
    this.#store = store;
    this.#key = key;
    this.#headLength = options.headLength;
    this.#partSize = partSizeFor(store, options.sizeBound);
    this.#concurrency = options.concurrency ?? 2;
    this.#part = Buffer.allocUnsafeSlow(Math.min(this.#partSize, options.headLength + options.sizeBound));
    this.#filled = options.headLength;
    this.#position = options.headLength;
  }

  /** Offset in the object at which the next appended byte will stand. */
  get position(): number {
    return this.#position;
  }

  /** Takes the next bytes (a copy of them). Waits while too many parts are on their way. */
  async append(chunk: Buffer): Promise<void> {
    let at = 0;
    while (at < chunk.length) {
      if (this.#filled === this.#part.length) await this.#cut();
      const copied = chunk.copy(this.#part, this.#filled, at);
      at += copied;
      this.#filled += copied;
    }
    this.#position += chunk.length;
  }

  /** Supplies the first bytes and makes the object visible; `conflict` with 'absent' when it is there already. */
  async finish(head: Buffer, condition?: 'absent'): Promise<PutResult> {
    if (head.length !== this.#headLength) throw new RangeError(`head of ${head.length} bytes, not ${this.#headLength}`);
    try {
      head.copy(this.#first ?? this.#part);
      if (this.#first === undefined)
        return await this.#store.put(this.#key, this.#part.subarray(0, this.#filled), condition);
      this.#upload ??= await this.#store.upload(this.#key);
      await this.#send(this.#part.subarray(0, this.#filled));
      await this.#send(this.#first, 1);
      await Promise.all(this.#inFlight);
      this.#throwFailure();
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

  /** Begins a new part: the first full one is kept for the head, later ones are sent. */
  async #cut(): Promise<void> {
    this.#parts++;
    if (this.#first === undefined) this.#first = this.#part;
    else {
      this.#upload ??= await this.#store.upload(this.#key);
      await this.#send(this.#part, this.#parts);
    }
    this.#part = this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#partSize);
    this.#filled = 0;
  }

  async #send(part: Buffer, number = this.#parts + 1): Promise<void> {
    const sending = this.#upload!.put(number, part)
      .then(() => {
        if (part.length === this.#partSize) this.#spare.push(part);
      })
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
