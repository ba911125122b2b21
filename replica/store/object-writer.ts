/**
 * Writes an object of unknown length as it is produced: in parts if it is large, in one put if it is small. Ranges of an
 * older object can stand between written bytes; the store copies those itself.
 *
 * The first bytes are given last, because a header holds facts that are known only at the end. So the first part is held
 * back until `finish`. The object is invisible before that, and `abort` leaves nothing behind.
 */
import { release } from '../runtime/release.ts';
import { InFlight } from '../runtime/in-flight.ts';
import { copiedParts, partSizeFor } from './part-sizes.ts';
import type { CopyRange, PutResult, Store, Upload } from './store.ts';

/** Copies under way at the same time. They cost this process nothing. */
const COPIES = 8;

export interface ObjectWriterOptions {
  /** Bytes at the start that `finish` supplies. */
  readonly headLength: number;
  /** The most bytes that the object can have; decides the size of its parts. */
  readonly sizeBound: number;
  /** Parts uploaded at the same time. */
  readonly concurrency?: number;
  /** Whether `copy` will be called. */
  readonly copies?: boolean;
}

export class ObjectWriter {
  readonly #store: Store;
  readonly #key: string;
  readonly #headLength: number;
  readonly #sizeBound: number;
  readonly #partSize: number;
  readonly #puts: InFlight;
  readonly #copies = new InFlight(COPIES);
  /** Buffers of uploaded parts, for reuse. */
  readonly #spare: Buffer[] = [];
  #copiesFollow: boolean;
  /** The buffer of the next part, if it was begun, and how many bytes it holds. */
  #buffer: Buffer | undefined;
  #filled: number;
  /** The full part before it, if a copy may follow: if the gathered bytes are too few for a part, the two are joined. */
  #held: Buffer | undefined;
  /** The first part, which waits for the head. */
  #first: Buffer | undefined;
  #upload: Upload | undefined;
  #parts = 0;
  /** Bytes of the parts so far. */
  #cutAt = 0;
  #position: number;

  constructor(store: Store, key: string, options: ObjectWriterOptions) {
    const { headLength, sizeBound, concurrency = 2, copies = false } = options;
    this.#store = store;
    this.#key = key;
    this.#headLength = headLength;
    this.#sizeBound = sizeBound;
    this.#copiesFollow = copies;
    this.#partSize = partSizeFor(store, copies ? 2 * sizeBound : sizeBound);
    this.#puts = new InFlight(concurrency);
    this.#buffer = Buffer.allocUnsafeSlow(Math.min(this.#partSize, headLength + sizeBound));
    this.#filled = headLength;
    this.#position = headLength;
  }

  /** Offset in the object at which the next byte will stand. */
  get position(): number {
    return this.#position;
  }

  /** Appends a copy of `bytes`. Waits while too many parts are being uploaded. */
  async append(chunk: Buffer): Promise<void> {
    let at = 0;
    while (at < chunk.length) {
      if (this.#filled === this.#buffer?.length) await this.#cut();
      this.#buffer ??= this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#partSize);
      const copied = chunk.copy(this.#buffer, this.#filled, at);
      at += copied;
      this.#filled += copied;
    }
    this.#position += chunk.length;
  }

  /**
   * Appends a range of an existing object, which the store copies. The range, and the bytes appended since the copy before,
   * must each have at least `leastCopyFor` bytes. Fails as `Upload.copy` does, in this call or a later one.
   */
  async copy(source: string, range: CopyRange, etag: string): Promise<void> {
    await this.#sendAll();
    const upload = await this.#started();
    for (const part of copiedParts(this.#store, range, this.#sizeBound)) {
      const number = ++this.#parts;
      const at = this.#cutAt;
      this.#cutAt += part.length;
      await this.#copies.start(() => upload.copy(number, at, source, part, etag));
    }
    this.#position += range.length;
  }

  /** Says that no copy follows, so full parts need not be held back any more. */
  async noMoreCopies(): Promise<void> {
    this.#copiesFollow = false;
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) await this.#send(held);
  }

  /** Supplies the first bytes and makes the object visible. With 'absent', throws `conflict` if an object is already there. */
  async finish(head: Buffer, condition?: 'absent'): Promise<PutResult> {
    if (head.length !== this.#headLength)
      throw new RangeError(`head must have ${this.#headLength} bytes, not ${head.length}`);
    try {
      head.copy(this.#first ?? this.#held ?? this.#buffer!);
      if (this.#first === undefined && this.#held === undefined) {
        return await this.#store.put(this.#key, this.#buffer!.subarray(0, this.#filled), condition);
      }
      await this.#sendAll();
      const first = this.#first!;
      const upload = await this.#started();
      await this.#puts.start(() => upload.put(1, 0, first));
      await this.#puts.drain();
      await this.#copies.drain();
      return await upload.complete(condition);
    } catch (error) {
      await this.abort();
      throw error;
    }
  }

  async abort(): Promise<void> {
    await this.#puts.settled();
    await this.#copies.settled();
    await this.#upload?.abort();
  }

  /** Begins a new part. */
  async #cut(): Promise<void> {
    const full = this.#buffer!;
    this.#buffer = undefined;
    this.#filled = 0;
    const next = this.#copiesFollow ? this.#held : full;
    if (this.#copiesFollow) this.#held = full;
    if (next !== undefined) await this.#send(next);
  }

  /** Sends all that is gathered, in parts that are large enough for others to follow. */
  async #sendAll(): Promise<void> {
    const held = this.#held;
    const buffer = this.#buffer;
    const rest = buffer?.subarray(0, this.#filled);
    this.#held = this.#buffer = undefined;
    this.#filled = 0;
    if (held !== undefined && rest !== undefined && rest.length < this.#store.limits.minPart) {
      this.#spare.push(held, buffer!);
      await this.#send(Buffer.concat([held, rest]));
    } else {
      if (held !== undefined) await this.#send(held);
      if (rest !== undefined && rest.length > 0) await this.#send(rest);
    }
  }

  /** Sends a part; the first is kept for the head. */
  async #send(part: Buffer): Promise<void> {
    const number = ++this.#parts;
    const at = this.#cutAt;
    this.#cutAt += part.length;
    if (number === 1) {
      this.#first = part;
      return;
    }
    const upload = await this.#started();
    await this.#puts.start(async () => {
      await upload.put(number, at, part);
      this.#takeBack(part);
    });
  }

  /** Keeps the buffer of an uploaded part for reuse, unless two parts were joined in it. */
  #takeBack(part: Buffer): void {
    if (part.buffer.byteLength === this.#partSize) this.#spare.push(Buffer.from(part.buffer));
    else release(part);
  }

  async #started(): Promise<Upload> {
    return (this.#upload ??= await this.#store.upload(this.#key));
  }
}
