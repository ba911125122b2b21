/** Downloads a file by a link. If the connection breaks, continues where it stopped. */
import { setTimeout as sleep } from 'node:timers/promises';
import { corrupt, SeawallError } from '../../replica/terms/errors.ts';
import { backoffDelay } from '../../replica/runtime/retry.ts';

/** Failures in a row, without a byte between them, after which the download is given up. */
const ATTEMPTS = 5;
const BACKOFF = { baseMs: 500, capMs: 8000 };
/** A connection counts as broken after so many milliseconds without a byte. */
const STALL = 30_000;

export interface LinkedFile {
  readonly url: string;
  /** How large it must be. */
  readonly bytes: number;
  /** For messages: where it lies. */
  readonly place: string;
}

/**
 * The file in pieces, in order, exactly `bytes` of them.
 *
 * Throws `corrupt` (DOWNLOAD_SIZE) if it has another size, `denied` (LINK_EXPIRED, LINK_REFUSED), `missing`,
 * `conflict` if it is replaced meanwhile, `unreachable` if the connection breaks again and again, and the signal's
 * reason after the signal.
 */
export async function* download(file: LinkedFile, signal: AbortSignal): AsyncGenerator<Buffer> {
  let done = 0;
  let etag: string | undefined;
  for (let failures = 0; done < file.bytes;) {
    try {
      using attempt = new Attempt(signal);
      const response = await request(file, done, etag, attempt.signal);
      etag ??= response.headers.get('etag') ?? undefined;
      for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
        attempt.goesOn();
        failures = 0;
        done += piece.length;
        if (done > file.bytes) throw wrongSize(file, done);
        yield Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
      }
      if (done < file.bytes) throw new SeawallError('unreachable', 'DOWNLOAD_CUT', 'the connection ended early');
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof SeawallError && error.kind !== 'unreachable') throw error;
      if (++failures >= ATTEMPTS) throw brokenOff(file, done, error);
      await sleep(backoffDelay(failures, BACKOFF, Math.random), undefined, { signal }).catch(() => undefined);
    }
  }
}

/** One connection, ended by the caller's signal or if no more bytes come. */
class Attempt implements Disposable {
  readonly #stalled = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#timer = setTimeout(() => {
      this.#stalled.abort(new SeawallError('unreachable', 'DOWNLOAD_STALLED', `no byte came for ${STALL / 1000} s`));
    }, STALL);
    this.signal = AbortSignal.any([signal, this.#stalled.signal]);
  }

  goesOn(): void {
    this.#timer.refresh();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#stalled.abort(); // also lets go of a body that was not read to its end
  }
}

async function request(
  file: LinkedFile,
  from: number,
  etag: string | undefined,
  signal: AbortSignal,
): Promise<Response> {
  const headers = {
    'accept-encoding': 'identity',
    ...(from > 0 && { range: `bytes=${from}-` }),
    ...(from > 0 && etag !== undefined && { 'if-match': etag }),
  };
  const response = await fetch(file.url, { headers, signal });
  if (response.status !== (from > 0 ? 206 : 200)) throw await refusal(file, response);
  const size = sizeOf(response, from);
  if (size !== undefined && size !== file.bytes) throw wrongSize(file, size);
  return response;
}

/** The size of the whole file; undefined if the answer does not say it. */
function sizeOf(response: Response, from: number): number | undefined {
  const said =
    from > 0
      ? /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1]
      : response.headers.get('content-length');
  return said === undefined || said === null ? undefined : Number(said);
}

async function refusal({ place }: LinkedFile, response: Response): Promise<SeawallError> {
  const { status } = response;
  const text = (await response.text()).slice(0, 10_000);
  const code = /<Code>([^<]*)<\/Code>/.exec(text)?.[1] ?? '';
  const message = /<Message>([^<]*)<\/Message>/.exec(text)?.[1] ?? '';
  const given = [`HTTP ${status}`, code, message].filter((part) => part !== '').join(', ');
  const failure = (kind: 'denied' | 'missing' | 'conflict' | 'unreachable', name: string, words: string) =>
    new SeawallError(kind, name, `${place}: ${words} (${given})`, { status });
  if (/expired/i.test(`${code} ${message}`)) {
    return failure(
      'denied',
      'LINK_EXPIRED',
      `the link to it has expired, as it does after an hour, or with the function’s credentials. The file is there for ` +
        `days: fetch it with credentials of your own (aws s3 cp ${place} .), or run this command again`,
    );
  }
  if (status === 404) return failure('missing', 'RESTORED_FILE_MISSING', 'the file is gone: run this command again');
  if (status === 412)
    return failure('conflict', 'RESTORED_FILE_REPLACED', 'another file replaced it during the download');
  if (status === 429 || status >= 500 || status < 400)
    return failure('unreachable', 'DOWNLOAD_REFUSED', 'the answer holds no file');
  return failure('denied', 'LINK_REFUSED', 'the link to it is refused');
}

function wrongSize({ place, bytes }: LinkedFile, actual: number): SeawallError {
  const message = `${place}: the function made ${bytes} bytes, but the download has another size`;
  return corrupt('DOWNLOAD_SIZE', message, { expected: bytes, actual });
}

function brokenOff({ place, bytes }: LinkedFile, done: number, error: unknown): SeawallError {
  const why = error instanceof Error ? causeWords(error) : String(error);
  const message =
    `${place}: the download broke off ${ATTEMPTS} times in a row after ${done} of ${bytes} bytes (${why}). ` +
    'Run this command again.';
  return new SeawallError('unreachable', 'DOWNLOAD_FAILED', message, {}, error);
}

/** With the cause: fetch hides the reason there. */
function causeWords({ message, cause }: Error): string {
  return cause instanceof Error && cause.message !== '' ? `${message}: ${cause.message}` : message;
}
