/**
 * Reads ranges over HTTP directly into the caller's memory. This takes a seventh of the work of Node's client, which
 * allocates memory for each piece of a body. It accepts one answer: a 206 with exactly the requested range and its length.
 * Any other answer is an error and ends the connection; a full client must handle it.
 */
import { connect as connectTcp, isIP, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** A range that is read by one signed HTTP request. */
export interface HttpTicket {
  readonly kind: 'http';
  /** Where to connect to. */
  readonly host: string;
  /** TCP port. */
  readonly port: number;
  /** Whether the connection uses TLS. */
  readonly secure: boolean;
  /** The request as it goes over the wire, signed. */
  readonly request: string;
  /** The range asked for. */
  readonly offset: number;
  /** Milliseconds until a connection must stand. */
  readonly connectionTimeout: number;
  /** Milliseconds without a byte after which reading fails. */
  readonly idleTimeout: number;
}

const PIECE = 256 << 10;
const MOST_HEAD = 64 << 10;

export class RangeClient {
  /** Idle connections, by origin. They do not keep the process alive. */
  readonly #resting = new Map<string, Connection[]>();

  /** Fills `into`. Throws any failure. Repeats only a request on an idle connection that the server had closed. */
  async read(ticket: HttpTicket, into: Buffer): Promise<void> {
    const place = `${ticket.secure ? 's' : ''}${ticket.host}:${ticket.port}`;
    const resting = this.#resting.get(place)?.pop();
    let connection = resting ?? new Connection(ticket);
    try {
      await connection.read(ticket, into);
    } catch (error) {
      if (resting?.answered !== false) throw error;
      connection = new Connection(ticket); // the server had closed it meanwhile
      await connection.read(ticket, into);
    }
    if (!connection.reusable) return;
    const others = this.#resting.get(place) ?? [];
    this.#resting.set(place, [...others, connection]);
  }

  /** Closes the idle connections. */
  close(): void {
    for (const connection of [...this.#resting.values()].flat()) connection.end();
    this.#resting.clear();
  }
}

interface Reading {
  readonly into: Buffer;
  readonly offset: number;
  readonly done: () => void;
  readonly fail: (error: Error) => void;
}

/** One request at a time. */
class Connection {
  /** Whether any byte of the current answer has arrived. */
  answered = false;
  reusable = true;
  readonly #socket: Socket;
  #reading: Reading | undefined;
  #head = '';
  #inBody = false;
  #at = 0;

  constructor({ host, port, secure, connectionTimeout }: HttpTicket) {
    const onread: OnReadOpts = {
      buffer: Buffer.allocUnsafeSlow(PIECE),
      callback: (length, bytes) => {
        this.#take(bytes as Buffer, length);
        return true;
      },
    };
    // The types do not know that connections with TLS take it, too.
    const secured = { host, port, onread, ...(isIP(host) === 0 ? { servername: host } : {}) };
    const socket = secure ? connectTls(secured) : connectTcp({ host, port, onread, noDelay: true });
    this.#socket = socket;
    const connecting = setTimeout(
      () => socket.destroy(new Error('the connection did not open in time')),
      connectionTimeout,
    );
    socket.once(secure ? 'secureConnect' : 'connect', () => {
      clearTimeout(connecting);
    });
    socket.on('timeout', () => socket.destroy(new Error('no byte arrived in time')));
    socket.on('error', (error: Error) => {
      this.#fail(error);
    });
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      clearTimeout(connecting);
      this.#fail(new Error('the connection was closed'));
    });
  }

  read({ request, offset, idleTimeout }: HttpTicket, into: Buffer): Promise<undefined> {
    const { promise, resolve, reject: fail } = Promise.withResolvers<undefined>();
    const done = (): void => {
      resolve(undefined);
    };
    this.#reading = { into, offset, done, fail };
    this.#head = '';
    this.#inBody = false;
    this.#at = 0;
    this.answered = false;
    if (this.#socket.destroyed) this.#fail(new Error('the connection was closed'));
    this.#socket.setTimeout(idleTimeout).ref();
    this.#socket.write(request, 'latin1');
    return promise;
  }

  end(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer, length: number): void {
    this.answered = true;
    const reading = this.#reading;
    if (reading === undefined) {
      this.#fail(new Error('bytes arrived without a request'));
      return;
    }
    let from = 0;
    if (!this.#inBody) {
      const before = this.#head.length;
      this.#head += bytes.toString('latin1', 0, length);
      const end = this.#head.indexOf('\r\n\r\n');
      if (end < 0) {
        if (this.#head.length > MOST_HEAD) this.#fail(new Error('the head of the answer is too long'));
        return;
      }
      const refusal = this.#understand(this.#head.slice(0, end), reading);
      if (refusal !== undefined) {
        this.#fail(new Error(refusal));
        return;
      }
      this.#inBody = true;
      from = end + 4 - before;
    }
    if (length - from > reading.into.length - this.#at) {
      this.#fail(new Error('the answer is longer than it announced'));
      return;
    }
    this.#at += bytes.copy(reading.into, this.#at, from, length);
    if (this.#at < reading.into.length) return;
    this.#reading = undefined;
    this.#socket.setTimeout(0).unref();
    reading.done();
  }

  /** Why an answer is not the one that is accepted. */
  #understand(head: string, { into, offset }: Reading): string | undefined {
    const [status = '', ...lines] = head.split('\r\n');
    if (!/^HTTP\/1\.1 206( |$)/.test(status)) return `answered with ${status}`;
    const fields = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(':');
      const name = line.slice(0, colon).toLowerCase();
      if (colon < 1 || /^[ \t]/.test(line)) return `an unclear header: ${line}`;
      const value = line.slice(colon + 1).trim();
      // A header that is repeated must have the same value.
      fields.set(name, (fields.get(name) ?? value) === value ? value : 'unclear');
    }
    if (fields.has('transfer-encoding') || fields.has('content-encoding')) return 'an encoded body';
    if (fields.get('content-length') !== String(into.length)) return 'another length than asked for';
    const range = `bytes ${offset}-${offset + into.length - 1}/`;
    if (fields.get('content-range')?.startsWith(range) !== true) return 'another range than asked for';
    if (/\bclose\b/i.test(fields.get('connection') ?? '')) this.reusable = false;
    return undefined;
  }

  #fail(error: Error): void {
    this.reusable = false;
    this.#socket.destroy();
    const reading = this.#reading;
    this.#reading = undefined;
    reading?.fail(error);
  }
}
