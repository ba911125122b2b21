import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { authorize, type Access } from './access.ts';
import type { Fault, Faults } from './faults.ts';
import type { ServerState } from './handler.ts';
import { HANDLERS } from './handlers.ts';
import type { RequestCounters } from './request-counters.ts';
import { readTarget, type RequestTarget, type S3Response } from './request.ts';
import { defaultMessage, errorDocument, S3Error } from './s3-error.ts';
import { XML_PROLOG } from './xml.ts';

/** How long joining parts may take before the connection is kept busy with white space. */
const PATIENCE_MS = 4000;

interface Exchange {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  /** The client waits for a 100 before it sends its body, and the 100 was not sent yet. */
  awaitsContinue: boolean;
}

export interface FrontDoorOptions {
  readonly state: ServerState;
  readonly faults: Faults;
  readonly counters: RequestCounters;
  readonly auth: Access | undefined;
  readonly now: () => number;
}

/** The HTTP side: reads requests, applies faults and access rules, runs the operation, sends the answer. */
export class FrontDoor {
  readonly #options: FrontDoorOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #running = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  readonly #closed = Promise.withResolvers<undefined>();
  #isPaused = false;

  constructor(options: FrontDoorOptions) {
    this.#options = options;
    // The server has no time limits of its own, because tests may make requests slow.
    this.#server = createServer({ keepAliveTimeout: 120_000, requestTimeout: 0, headersTimeout: 0 });
    this.#server.on('connection', (socket) => {
      if (this.#isPaused) {
        socket.resetAndDestroy();
        return;
      }
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('request', (message, response) => {
      this.#accept(message, response, false);
    });
    this.#server.on('checkContinue', (message: IncomingMessage, response: ServerResponse) => {
      this.#accept(message, response, true);
    });
  }

  /** @returns the port listened on */
  async listen(port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  pause(): void {
    this.#isPaused = true;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  resume(): void {
    this.#isPaused = false;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#closed.resolve(undefined);
    const closed = new Promise<void>((resolve) =>
      this.#server.close(() => {
        resolve();
      }),
    );
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    await Promise.allSettled(this.#running);
  }

  #accept(message: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void {
    const requestId = randomBytes(8).toString('hex').toUpperCase();
    const exchange: Exchange = { message, response, requestId, awaitsContinue };
    // A client may disconnect at any time; the reading or writing side notices it by itself.
    message.on('error', () => undefined);
    response.on('error', () => undefined);
    const running = this.#serve(exchange).catch((error: unknown) => {
      if (!message.destroyed && !response.destroyed && !this.#closing.signal.aborted) {
        process.emitWarning(`S3 test server: ${message.method ?? ''} ${message.url ?? ''}: ${String(error)}`);
      }
      message.socket.destroy();
    });
    this.#running.add(running);
    void running.finally(() => this.#running.delete(running));
  }

  async #serve(exchange: Exchange): Promise<void> {
    const { message } = exchange;
    let target: RequestTarget;
    try {
      target = readTarget(message);
    } catch (error) {
      await this.#sendError(exchange, error, undefined);
      return;
    }
    this.#options.counters[target.op]++;
    const faults = this.#options.faults.next(target);
    const fatal = faults.find((fault) => fault.kind !== 'slow');
    for (const fault of faults) if (fault.kind === 'slow') fault.strike?.();
    await this.#delay(faults, 'operation');
    if (fatal?.kind !== 'lost-ack') fatal?.strike?.();

    switch (fatal?.kind) {
      case 'reset':
        message.socket.resetAndDestroy();
        return;
      case 'hang':
        message.resume();
        return;
      case 'status':
      case 'conflict-409': {
        await this.#delay(faults, 'answer');
        const { status, code } = fatal.kind === 'status' ? fatal : { status: 409, code: 'ConditionalRequestConflict' };
        const refusal = { status, code, message: defaultMessage(code) };
        await this.#sendRefusal(exchange, refusal, target);
        return;
      }
      case 'cut':
      case 'lost-ack':
      case undefined:
        break; // the operation is carried out; the answer is affected
    }

    const busy = target.op === 'CompleteMultipartUpload' && !fatal ? this.#keepBusy(exchange) : undefined;
    let answer: S3Response;
    try {
      answer = await this.#carryOut(exchange, target);
    } catch (error) {
      busy?.();
      if (fatal?.kind === 'lost-ack') fatal.strike?.();
      if (fatal?.kind === 'lost-ack') message.socket.resetAndDestroy();
      else await this.#delay(faults, 'answer').then(() => this.#sendError(exchange, error, target));
      return;
    }
    busy?.();
    if (fatal?.kind === 'lost-ack') {
      fatal.strike?.();
      if (typeof answer.body === 'object') answer.body.stored.close();
      message.socket.resetAndDestroy();
      return;
    }
    await this.#delay(faults, 'answer');
    await this.#send(exchange, answer, fatal?.kind === 'cut');
  }

  async #delay(faults: readonly Fault[], when: 'operation' | 'answer'): Promise<void> {
    const { signal } = this.#closing;
    let milliseconds = 0;
    for (const fault of faults) {
      if (fault.kind !== 'slow' || (fault.delay ?? 'answer') !== when) continue;
      if (typeof fault.latency === 'number') milliseconds += fault.latency;
      else await Promise.race([fault.latency, this.#closed.promise]);
    }
    signal.throwIfAborted();
    if (milliseconds > 0) await wait(milliseconds, undefined, { signal });
  }

  async #carryOut(exchange: Exchange, target: RequestTarget): Promise<S3Response> {
    const { state, auth, now } = this.#options;
    const may = authorize(auth, target, now());
    return HANDLERS[target.op](state, { ...target, body: this.#bodyOf(exchange), may });
  }

  async *#bodyOf(exchange: Exchange): AsyncGenerator<Buffer, void, undefined> {
    if (exchange.awaitsContinue) {
      exchange.awaitsContinue = false;
      exchange.response.writeContinue();
    }
    // Without this, ending the reading would destroy the connection that the refusal must be sent on.
    const chunks = exchange.message.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    for await (const chunk of chunks) {
      this.#options.counters.bytesIn += chunk.length;
      yield chunk;
    }
  }

  /**
   * S3 sends the status and then white space while it joins parts, so that the client does not give up. Returns a
   * function that stops it.
   */
  #keepBusy({ response, requestId }: Exchange): () => void {
    const timer = setInterval(() => {
      if (!response.headersSent) {
        response.writeHead(200, { 'content-type': 'application/xml', 'x-amz-request-id': requestId });
        response.write(XML_PROLOG);
      }
      response.write(' ');
    }, PATIENCE_MS);
    return () => {
      clearInterval(timer);
    };
  }

  async #sendError(exchange: Exchange, error: unknown, target: RequestTarget | undefined): Promise<void> {
    if (exchange.message.destroyed && !exchange.message.complete) return;
    if (error instanceof S3Error) {
      await this.#sendRefusal(exchange, error, target);
      return;
    }
    process.emitWarning(`S3 test server: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    await this.#sendRefusal(exchange, new S3Error('InternalError'), target);
  }

  async #sendRefusal(
    exchange: Exchange,
    refusal: Pick<S3Error, 'status' | 'code' | 'message'> & Partial<Pick<S3Error, 'fields' | 'headers'>>,
    target: RequestTarget | undefined,
  ): Promise<void> {
    const resource = target ? { Resource: `/${target.bucket}${target.key === '' ? '' : `/${target.key}`}` } : {};
    const { status, code, message, headers = {}, fields } = refusal;
    const document = errorDocument({ code, message, fields: { ...resource, ...fields } }, exchange.requestId);
    await this.#send(exchange, { status, headers, body: document }, false);
  }

  async #send(exchange: Exchange, answer: S3Response, isCut: boolean): Promise<void> {
    const { message, response, requestId } = exchange;
    const { body } = answer;
    if (response.destroyed) {
      if (typeof body === 'object') body.stored.close();
      return;
    }
    if (response.headersSent) {
      // Kept busy until now: the document follows the white space, whether it is a result or an error.
      response.end(typeof body === 'string' ? body.slice(XML_PROLOG.length) : '');
      return;
    }
    const hasBody = message.method !== 'HEAD' && answer.status !== 204 && answer.status !== 304;
    const length = typeof body === 'object' ? body.end - body.start : Buffer.byteLength(body ?? '');
    response.writeHead(answer.status, {
      server: 'AmazonS3',
      'x-amz-request-id': requestId,
      'x-amz-id-2': 'test',
      ...(typeof body === 'string' && { 'content-type': 'application/xml' }),
      ...(hasBody && { 'content-length': String(length) }),
      // A client that was not told to go on may or may not send its body: the connection cannot be used further.
      ...(exchange.awaitsContinue && { connection: 'close' }),
      ...answer.headers,
    });
    const sent = isCut ? Math.floor(length / 2) : length;
    if (typeof body === 'object') {
      for await (const chunk of body.stored.stream(body.start, body.start + sent) as AsyncIterable<Buffer>) {
        // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- the client may go at any time
        if (response.destroyed) return;
        this.#options.counters.bytesOut += chunk.length;
        if (!response.write(chunk)) await drained(response);
      }
    } else if (hasBody && body !== undefined) {
      const bytes = Buffer.from(body).subarray(0, sent);
      this.#options.counters.bytesOut += bytes.length;
      response.write(bytes);
    }
    if (isCut) {
      // An orderly end rather than a reset, which could take bytes back that the client has not read yet.
      message.socket.destroySoon();
      return;
    }
    response.end();
    // The rest of a refused body must be read; otherwise the next request on this connection would wait without end.
    if (!message.complete) setImmediate(() => message.resume());
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}
