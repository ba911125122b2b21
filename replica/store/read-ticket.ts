/**
 * A range of an object that whoever holds it can read by himself, in another thread, too: where it lies, with nothing
 * left to find out. A ticket is good for one attempt and soon; what it gets is as long as was asked, and nothing more is
 * promised. Whatever fails is to be asked for again by `get`, which repeats, resumes and says what is wrong.
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

  /** Fills `into` with the range. Throws whatever went wrong. */
  async read(ticket: ReadTicket, into: Buffer): Promise<void> {
    if (ticket.kind === 'file') readFile(ticket, into);
    else await (this.#client ??= await newClient()).read(ticket, into);
  }

  /** Lets go of connections at rest. */
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
