/**
 * An S3 server on the loopback interface, in a process of its own, so that it shares no event loop with the code that
 * is timed.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type { RequestCounters } from '../test/s3-server/index.ts';

export class S3Process implements AsyncDisposable {
  readonly endpoint: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, endpoint: string) {
    this.#child = child;
    this.endpoint = endpoint;
  }

  static async start(folder: string): Promise<S3Process> {
    const child = fork(new URL('./s3-process.ts', import.meta.url), [mkdtempSync(join(folder, 's3-'))]);
    const [message] = (await once(child, 'message')) as [{ readonly endpoint: string }];
    return new S3Process(child, message.endpoint);
  }

  /** The replica as a URL of Seawall. */
  url(prefix: string): string {
    return `s3://b/${prefix}?region=us-east-1&endpoint=${encodeURIComponent(this.endpoint)}`;
  }

  async counted(): Promise<RequestCounters> {
    this.#child.send('count');
    const [message] = (await once(this.#child, 'message')) as [{ readonly requests: RequestCounters }];
    return message.requests;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.disconnect();
    await once(this.#child, 'exit');
  }
}

/** Requests and bytes between two counts. */
export function between(before: RequestCounters, after: RequestCounters): RequestCounters {
  return Object.fromEntries(
    Object.entries(after).map(([name, n]) => [name, n - before[name as keyof RequestCounters]]),
  ) as RequestCounters;
}
