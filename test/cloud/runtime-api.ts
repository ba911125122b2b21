/**
 * Lambda's Runtime API, as one execution environment sees it: the runtime client asks for the next invocation, and
 * posts its answer or its failure. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the caller of a function gets; `failed` as Lambda would hand it on. */
export type Outcome =
  | { readonly kind: 'answered'; readonly answer: unknown }
  | { readonly kind: 'failed'; readonly type: string; readonly message: string };

interface Invocation {
  readonly id: string;
  readonly event: unknown;
  /** Milliseconds since 1970. */
  readonly deadline: number;
  readonly settle: (outcome: Outcome) => void;
}

interface RuntimeFailure {
  readonly errorType: string;
  readonly errorMessage: string;
}

const PREFIX = '/2018-06-01/runtime/';

export class RuntimeApi implements AsyncDisposable {
  /** Settles when the client first asks for an invocation, or says that it could not begin. */
  readonly begun: Promise<'ready' | RuntimeFailure>;
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  #begin: (how: 'ready' | RuntimeFailure) => void = () => undefined;
  #waiting: Invocation[] = [];
  readonly #underWay = new Map<string, Invocation>();
  #asking: ServerResponse | undefined;

  private constructor() {
    this.begun = new Promise((resolve) => (this.#begin = resolve));
  }

  static async start(): Promise<RuntimeApi> {
    const api = new RuntimeApi();
    api.#server.listen(0, '127.0.0.1');
    await once(api.#server, 'listening');
    return api;
  }

  /** For AWS_LAMBDA_RUNTIME_API. */
  get address(): string {
    return `127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  /** @param timeout milliseconds until Lambda would end the environment */
  invoke(event: unknown, timeout: number): Promise<Outcome> {
    return new Promise((settle) => {
      this.#waiting.push({ id: randomUUID(), event, deadline: Date.now() + timeout, settle });
      this.#handOver();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
    const body = Buffer.concat(pieces).toString();
    const path = (request.url ?? '').slice(PREFIX.length);
    const [, id = '', what] = /^invocation\/(?:([^/]+)\/)?(next|response|error)$/.exec(path) ?? [];
    if (what === 'next') {
      this.#begin('ready');
      this.#asking = response;
      this.#handOver();
      return;
    }
    if (path === 'init/error') this.#begin(JSON.parse(body) as RuntimeFailure);
    else if (what === 'response') this.#settle(id, { kind: 'answered', answer: JSON.parse(body) });
    else if (what === 'error') {
      const { errorType, errorMessage } = JSON.parse(body) as RuntimeFailure;
      this.#settle(id, { kind: 'failed', type: errorType, message: errorMessage });
    } else {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(202, { 'content-type': 'application/json' }).end('{"status":"OK"}');
  }

  #handOver(): void {
    if (this.#asking === undefined) return;
    const [next] = this.#waiting.splice(0, 1);
    if (next === undefined) return;
    this.#underWay.set(next.id, next);
    this.#asking.writeHead(200, {
      'content-type': 'application/json',
      'lambda-runtime-aws-request-id': next.id,
      'lambda-runtime-deadline-ms': String(next.deadline),
      'lambda-runtime-invoked-function-arn': 'arn:aws:lambda:eu-central-1:111122223333:function:test',
      'lambda-runtime-trace-id': 'Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0',
    });
    this.#asking.end(JSON.stringify(next.event));
    this.#asking = undefined;
  }

  #settle(id: string, outcome: Outcome): void {
    const invocation = this.#underWay.get(id);
    if (invocation === undefined) throw new Error(`an answer to ${id}, which was not under way`);
    this.#underWay.delete(id);
    invocation.settle(outcome);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
