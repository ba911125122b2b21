/**
 * A range of an object that another thread of this process can read by itself: where it lies, with nothing left to find
 * out. A ticket is good for one attempt and soon; what it gets is as long as was asked, and nothing more is promised.
 * Whatever fails is to be asked for again by `get`, which repeats, resumes and says what is wrong.
 */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import type { HttpTicket, RangeClient } from './range-client.ts';

export interface FileTicket {
  readonly kind: 'file';
  readonly path: string;
  readonly offset: number;
}

export type ReadTicket = FileTicket | HttpTicket;

/** Fills `into` with the range. Throws whatever went wrong. */
export async function redeem(ticket: ReadTicket, into: Buffer, client: RangeClient): Promise<void> {
  if (ticket.kind === 'http') await client.read(ticket, into);
  else readFile(ticket, into);
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
