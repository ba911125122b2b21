/**
 * A ticket: everything that is needed to read one range of an object, also from another thread. It is valid for one attempt,
 * for a short time. It promises only that the result has the requested length. After any failure the caller uses `get`,
 * which retries, resumes and reports what is wrong.
 */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import type { HttpTicket, RangeClient } from './range-client.ts';

/** A range of a local file. */
export interface FileTicket {
  readonly kind: 'file';
  /** Path of the file. */
  readonly path: string;
  /** First byte of the range. */
  readonly offset: number;
}

/** How another thread reads a range by itself: of a file, or over HTTP. */
export type ReadTicket = FileTicket | HttpTicket;

export class TicketReader implements Disposable {
  #client: RangeClient | undefined;

  /** Fills `into`, whose length is the range's. Throws any failure as it is. */
  async read(ticket: ReadTicket, into: Buffer): Promise<void> {
    if (ticket.kind === 'file') readFile(ticket, into);
    else await (this.#client ??= await newClient()).read(ticket, into);
  }

  /** Closes idle connections. */
  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Imported only where it is needed: what it stands on takes a thread as long to load as all the rest. */
async function newClient(): Promise<RangeClient> {
  return new (await import('./range-client.ts')).RangeClient();
}

function readFile({ path, offset }: FileTicket, into: Buffer): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    for (let done = 0; done < into.length;) {
      const read = readSync(fd, into, done, into.length - done, offset + done);
      if (read === 0) throw new Error(`${path} ends at ${offset + done}`);
      done += read;
    }
  } finally {
    closeSync(fd);
  }
}
