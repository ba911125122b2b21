import { randomBytes } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';

const READ_SIZE = 512 * 1024;
const WRITE_SIZE = 1024 ** 2;

/** Bytes that were stored under a name of their own. They never change; a new body gets a new id. */
export interface StoredBody {
  readonly id: string;
  readonly size: number;
}

export interface BodyWriter {
  write(chunk: Buffer): Promise<void>;
  finish(): Promise<StoredBody>;
  discard(): Promise<void>;
}

/** An open body: it stays readable if it is removed meanwhile, because a GET may race with a DELETE. */
export interface OpenBody {
  readonly size: number;
  /** Streams [start, end). May be called once. */
  stream(start: number, end: number): Readable;
  /** Closes a body that is not streamed after all. */
  close(): void;
}

/** Stores bodies. The catalog knows which object a body belongs to. */
export interface BodyStore {
  create(): BodyWriter;
  open(body: StoredBody): OpenBody;
  remove(body: StoredBody): void;
  readWhole(body: StoredBody): Buffer;
  writeWhole(bytes: Uint8Array): StoredBody;
  sameBytes(a: StoredBody, b: StoredBody): boolean;
  /** Removes bodies that a killed server left behind. */
  removeAllBut(ids: ReadonlySet<string>): void;
}

function newBodyId(): string {
  return randomBytes(12).toString('hex');
}

export class MemoryBodies implements BodyStore {
  readonly #bodies = new Map<string, Buffer>();

  create(): BodyWriter {
    const chunks: Buffer[] = [];
    return {
      write: async (chunk) => void chunks.push(chunk),
      finish: async () => this.writeWhole(Buffer.concat(chunks)),
      discard: async () => undefined,
    };
  }

  open(body: StoredBody): OpenBody {
    const bytes = this.readWhole(body);
    return {
      size: bytes.length,
      stream: (start, end) => Readable.from(slices(bytes.subarray(start, end)), { objectMode: false }),
      close: () => undefined,
    };
  }

  remove(body: StoredBody): void {
    this.#bodies.delete(body.id);
  }

  readWhole(body: StoredBody): Buffer {
    const bytes = this.#bodies.get(body.id);
    if (!bytes) throw new Error(`body ${body.id} is gone`);
    return bytes;
  }

  writeWhole(bytes: Uint8Array): StoredBody {
    const id = newBodyId();
    this.#bodies.set(id, Buffer.from(bytes));
    return { id, size: bytes.length };
  }

  sameBytes(a: StoredBody, b: StoredBody): boolean {
    return this.readWhole(a).equals(this.readWhole(b));
  }

  removeAllBut(ids: ReadonlySet<string>): void {
    for (const id of this.#bodies.keys()) if (!ids.has(id)) this.#bodies.delete(id);
  }
}

function* slices(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += READ_SIZE) yield bytes.subarray(at, at + READ_SIZE);
}

/** One file per body, so that databases of several GiB need no memory. */
export class DirectoryBodies implements BodyStore {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  create(): BodyWriter {
    const id = newBodyId();
    const path = this.#path(id);
    const opened = open(path, 'wx');
    opened.catch(() => undefined); // reported by whoever writes, finishes or discards
    let size = 0;
    let waiting: Buffer[] = [];
    let waitingBytes = 0;
    const flush = async (): Promise<void> => {
      const file = await opened;
      let chunks = waiting;
      waiting = [];
      waitingBytes = 0;
      // One call may write fewer bytes than it was given.
      while (chunks.length > 0) {
        const { bytesWritten } = await file.writev(chunks);
        const given = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
        chunks = bytesWritten < given ? [Buffer.concat(chunks).subarray(bytesWritten)] : [];
      }
    };
    return {
      // Sockets deliver small pieces; a system call for each of them would cost more than the writing.
      write: async (chunk) => {
        waiting.push(chunk);
        waitingBytes += chunk.length;
        size += chunk.length;
        if (waitingBytes >= WRITE_SIZE) await flush();
      },
      finish: async () => {
        await flush();
        await (await opened).close();
        return { id, size };
      },
      discard: async () => {
        await (await opened).close();
        await rm(path, { force: true });
      },
    };
  }

  open(body: StoredBody): OpenBody {
    const fd = openSync(this.#path(body.id), 'r');
    return {
      size: body.size,
      stream: (start, end) => {
        if (end > start) return createReadStream('', { fd, start, end: end - 1, highWaterMark: READ_SIZE });
        closeSync(fd);
        return Readable.from([]);
      },
      close: () => {
        closeSync(fd);
      },
    };
  }

  remove(body: StoredBody): void {
    rmSync(this.#path(body.id), { force: true });
  }

  readWhole(body: StoredBody): Buffer {
    return readFileSync(this.#path(body.id));
  }

  writeWhole(bytes: Uint8Array): StoredBody {
    const id = newBodyId();
    writeFileSync(this.#path(id), bytes, { flag: 'wx' });
    return { id, size: bytes.length };
  }

  sameBytes(a: StoredBody, b: StoredBody): boolean {
    if (a.size !== b.size) return false;
    const files = [openSync(this.#path(a.id), 'r'), openSync(this.#path(b.id), 'r')] as const;
    try {
      const chunks = [Buffer.alloc(READ_SIZE), Buffer.alloc(READ_SIZE)] as const;
      for (let at = 0; at < a.size; at += READ_SIZE) {
        const read = readSync(files[0], chunks[0], 0, READ_SIZE, at);
        readSync(files[1], chunks[1], 0, READ_SIZE, at);
        if (!chunks[0].subarray(0, read).equals(chunks[1].subarray(0, read))) return false;
      }
      return true;
    } finally {
      files.forEach(closeSync);
    }
  }

  removeAllBut(ids: ReadonlySet<string>): void {
    for (const id of readdirSync(this.#directory)) if (!ids.has(id)) rmSync(this.#path(id), { force: true });
  }

  #path(id: string): string {
    return join(this.#directory, id);
  }
}
